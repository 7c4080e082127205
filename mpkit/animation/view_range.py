"""How far the head of a still may be turned: measured, see docs/training-log.md, "How far a still may be turned".

A picture shows one side of a head. The farther the head is turned from there, the more is invented, and the more the
picture is stretched; a head that is seen from the side shows half a face, which the model cannot complete.
"""

import math

import numpy as np
import torch
from torch import Tensor

from mpkit.errors import NoFaceError
from mpkit.faces.advice import MAX_STILL_YAW
from mpkit.faces.face import Face
from mpkit.geometry import angles_from_rotation, rotation_from_angles

# Yaw of a still as the tracker reads it, and how far the head may be turned from there towards the camera and past it,
# and away from it; degrees
OWN_YAW = (0.0, 14.0, 27.0, 37.0, 47.0, 55.0)
YAW_TOWARDS = (36.0, 40.0, 35.0, 25.0, 20.0, 12.0)
YAW_AWAY = (36.0, 30.0, 22.0, 18.0, 12.0, 7.0)
# Pitch of a still, and how far it may nod from there in the same way
OWN_PITCH = (0.0, 15.0, 25.0, 40.0)
PITCH_TOWARDS = (30.0, 34.0, 34.0, 26.0)
PITCH_AWAY = (30.0, 22.0, 16.0, 9.0)
MAX_ROLL = 45.0  # degrees by which a head leans against its own body; necks bend no farther
FREE_SHARE = 0.6  # of the way to a limit: up to there nothing is changed


def check_view(face: Face) -> None:
    """Raises NoFaceError for a face that is seen so much from the side that no motion of it looks right."""
    yaw = abs(face.angles[0])
    if yaw > MAX_STILL_YAW:
        raise NoFaceError(
            f"the head is seen from the side, turned by {yaw:.0f} degrees, and cannot be animated; use a picture that "
            f"shows both eyes (up to {MAX_STILL_YAW:.0f} degrees)"
        )


def yaw_range(own: float) -> tuple[float, float]:
    """The least and the largest yaw to which a still may be turned whose own yaw is `own`; all in degrees."""
    return _range(own, OWN_YAW, YAW_TOWARDS, YAW_AWAY)


def pitch_range(own: float) -> tuple[float, float]:
    """The same of the pitch."""
    return _range(own, OWN_PITCH, PITCH_TOWARDS, PITCH_AWAY)


def limited(rotation: Tensor, own: Tensor) -> Tensor:
    """Head rotations (B, 3, 3), held within what a still can show whose own rotation is `own` (1, 3, 3).

    What is held is the turn from the still's own pose, in yaw and in pitch. Up to FREE_SHARE of the way to a limit
    nothing changes, to the bit; beyond, the turn approaches the limit smoothly. For the roll see `limited_roll`."""
    roll, yaw, pitch, upright = _divided(rotation, own)
    own_yaw, own_pitch, _ = (angle.item() for angle in angles_from_rotation(own))
    held_yaw, held_pitch = _held(yaw, own_yaw, yaw_range(own_yaw)), _held(pitch, own_pitch, pitch_range(own_pitch))
    unchanged = ((held_yaw == yaw) & (held_pitch == pitch)).view(-1, 1, 1)
    return torch.where(unchanged, rotation, roll @ _turn(held_yaw, held_pitch) @ upright)


def limited_roll(rotation: Tensor, own: Tensor, limit: float = MAX_ROLL) -> Tensor:
    """Head rotations (B, 3, 3) whose roll from a still's own rotation `own` (1, 3, 3) is held within `limit` degrees,
    in the way of `limited`: the body of a still does not roll along.

    A head that rolls on goes back from 90 degrees on, and is upright where it would be upside down. So nothing jumps
    while a driver goes round by 360 degrees."""
    roll = _divided(rotation, own)[0]
    angle = torch.atan2(roll[:, 1, 0], roll[:, 0, 0]) * (180 / math.pi) - angles_from_rotation(own)[2]
    change = torch.remainder(angle + 180, 360) - 180
    bent = torch.where(change.abs() > 90, change.sign() * 180 - change, change)
    excess = _held(bent, 0.0, (-limit, limit)) - change
    back = rotation_from_angles(torch.zeros_like(excess), torch.zeros_like(excess), excess)
    return torch.where((excess == 0).view(-1, 1, 1), rotation, back @ rotation)


def _divided(rotation: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rotations (B, 3, 3) as roll @ turn @ upright: roll (B, 3, 3) about z; yaw and pitch (B,) in degrees of the turn,
    whose axis is in the picture's plane; upright (1, 3, 3), which is `own` without its roll."""
    own_yaw, own_pitch, own_roll = angles_from_rotation(own)
    upright = rotation_from_angles(own_yaw, own_pitch, torch.zeros_like(own_roll))
    direction = rotation[:, 2] @ upright[0].mT  # the turn takes it to z
    sine = direction[:, :2].norm(dim=1)
    angle = torch.atan2(sine, direction[:, 2]) * (180 / math.pi)
    yaw, pitch = (direction[:, :2] * (angle / sine.clamp_min(1e-9))[:, None]).unbind(1)
    return rotation @ upright.mT @ _turn(yaw, pitch).mT, yaw, pitch, upright


def _turn(yaw: Tensor, pitch: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about axes in the picture's plane; yaw and pitch (B,) in degrees are parts of the angle."""
    zero = torch.zeros_like(yaw)
    rows = (zero, zero, -yaw), (zero, zero, -pitch), (yaw, pitch, zero)
    return torch.linalg.matrix_exp(torch.stack([torch.stack(row, -1) for row in rows], -2) * (math.pi / 180))


def _range(own: float, angles: tuple, towards: tuple, away: tuple) -> tuple[float, float]:
    near, far = (float(np.interp(abs(own), angles, limits)) for limits in (towards, away))
    return (own - near, own + far) if own >= 0 else (own - far, own + near)


def _held(change: Tensor, own: float, limits: tuple[float, float]) -> Tensor:
    """Changes (B,) in degrees of an angle `own`, held between limits of that angle, without a kink: slope and curvature
    are continuous."""
    limit = torch.where(change < 0, own - limits[0], limits[1] - own)
    free = FREE_SHARE * limit
    rest = limit - free
    held = free + rest * torch.tanh((change.abs() - free) / rest)
    return torch.where(change.abs() <= free, change, change.sign() * held)
