"""The conventions of mpkit/geometry.py, each as a property."""

import math

import pytest
import torch
from torch import tensor
from torch.testing import assert_close

from mpkit.geometry import (
    Pose,
    angles_from_rotation,
    cell_centres,
    identity_grid,
    identity_pose,
    inverse_rigid_grid,
    project,
    rigid_grid,
    rotation_from_angles,
    sample,
    slide_along_rays,
)

NOSE = tensor([[0.0, 0.0, -1.0]])  # a frontal head looks at the camera, along -z
CROWN = tensor([[0.0, -1.0, 0.0]])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def rotation(yaw=0.0, pitch=0.0, roll=0.0):
    return rotation_from_angles(*(tensor([float(angle)]) for angle in (yaw, pitch, roll)))


def turned(point, **angles):
    """A canonical point (1, 3) after the head has turned, as a list [x, y, z]."""
    pose = identity_pose()._replace(rotation=rotation(**angles))
    return pose.apply(point[:, None])[0, 0]


def random_pose(batch=2, dtype=torch.float32):
    angles = (torch.rand(3, batch, dtype=dtype) - 0.5) * 60
    translation = torch.rand(batch, 3, dtype=dtype) * 0.4 - 0.2
    return Pose(rotation_from_angles(*angles), translation, 0.8 + 0.4 * torch.rand(batch, dtype=dtype))


# --- angles and poses ------------------------------------------------------------------------------------------------


def test_positive_yaw_moves_the_nose_to_the_right_of_the_picture():
    assert_close(turned(NOSE, yaw=30), tensor([0.5, 0, -math.sqrt(3) / 2]))


def test_positive_pitch_moves_the_nose_down():
    assert_close(turned(NOSE, pitch=30), tensor([0, 0.5, -math.sqrt(3) / 2]))


def test_positive_roll_leans_clockwise_on_the_screen():
    """The crown, up at y = -1, goes to the right."""
    assert_close(turned(CROWN, roll=30), tensor([0.5, -math.sqrt(3) / 2, 0]))
    assert_close(turned(NOSE, roll=30), NOSE[0])


def test_rotation_worked_by_hand():
    """yaw 90, pitch 90: nodding sends the nose straight down, and a turn about y leaves it there; the crown, sent to
    -z by the nod, goes to +x with the turn."""
    assert_close(turned(NOSE, yaw=90, pitch=90), tensor([0.0, 1, 0]), atol=1e-6, rtol=0)
    assert_close(turned(CROWN, yaw=90, pitch=90), tensor([1.0, 0, 0]), atol=1e-6, rtol=0)


def test_rotations_are_rotations():
    r = random_pose(8).rotation
    assert_close(r @ r.mT, torch.eye(3).expand(8, 3, 3), atol=1e-6, rtol=0)
    assert_close(torch.linalg.det(r), torch.ones(8))


def test_angles_round_trip():
    axis = torch.linspace(-80, 80, 5)
    angles = torch.cartesian_prod(axis, axis, axis).T
    assert_close(torch.stack(angles_from_rotation(rotation_from_angles(*angles))), angles, atol=1e-3, rtol=0)


def test_poses_compose_and_invert():
    outer, inner = (random_pose() for _ in range(2))
    points = torch.randn(len(outer.scale), 5, 3)
    assert_close(outer.compose(inner).apply(points), outer.apply(inner.apply(points)), atol=1e-5, rtol=0)
    assert_close(outer.inverse().apply(points), outer.unapply(points), atol=1e-5, rtol=0)


def test_unapply_undoes_apply():
    pose, points = random_pose(3), torch.randn(3, 4, 5, 3)
    assert_close(pose.unapply(pose.apply(points)), points, atol=1e-5, rtol=0)
    assert_close(pose.apply(pose.unapply(points)), points, atol=1e-5, rtol=0)


def test_apply_scales_and_turns_before_it_moves():
    pose = Pose(rotation(roll=90), tensor([[0.1, 0.2, 0.0]]), tensor([2.0]))
    assert_close(pose.apply(tensor([[[0.25, 0, 0]]])), tensor([[[0.1, 0.7, 0]]]))


def test_select_keeps_every_part_of_a_pose():
    pose = random_pose(4)
    for part, whole in zip(pose.select(slice(1, 3)), pose):
        assert_close(part, whole[1:3])


# --- grids -----------------------------------------------------------------------------------------------------------


def test_cell_centres_lie_inside_the_edges():
    assert_close(cell_centres(4), tensor([-0.75, -0.25, 0.25, 0.75]))


def test_grid_axes_are_x_right_y_down_z_away():
    grid = identity_grid(2, 4, 8)
    assert grid.shape == (1, 2, 4, 8, 3)
    assert_close(grid[0, 0, 0, 0], tensor([-7 / 8, -3 / 4, -1 / 2]))
    assert_close(grid[0, 0, 0, -1] - grid[0, 0, 0, 0], tensor([7 / 4, 0, 0]))
    assert_close(grid[0, 0, -1, 0] - grid[0, 0, 0, 0], tensor([0, 3 / 2, 0]))
    assert_close(grid[0, -1, 0, 0] - grid[0, 0, 0, 0], tensor([0, 0, 1.0]))


def test_identity_warp_returns_its_input():
    volume = torch.randn(2, 3, 4, 6, 8)
    assert_close(sample(volume, identity_grid(4, 6, 8).expand(2, -1, -1, -1, -1)), volume, atol=1e-5, rtol=0)


def test_rigid_grid_of_the_identity_pose_is_the_identity_grid():
    for grid in (rigid_grid, inverse_rigid_grid):
        assert_close(grid(identity_pose(), 4, 6, 8), identity_grid(4, 6, 8))


def test_rigid_after_inverse_is_the_identity():
    pose = random_pose()
    back = pose.apply(inverse_rigid_grid(pose, 4, 6, 8))
    assert_close(back, identity_grid(4, 6, 8).expand_as(back), atol=1e-5, rtol=0)


def test_composed_grid_equals_two_step_sampling():
    """Exact for a volume that is linear in the coordinates, as long as both steps stay inside it."""
    first, second = random_pose(1), random_pose(1)
    first, second = (pose._replace(scale=pose.scale * 0.4) for pose in (first, second))
    volume = identity_grid(8, 8, 8).movedim(-1, 1)
    a, b = rigid_grid(first, 8, 8, 8), rigid_grid(second, 8, 8, 8)
    two_steps = sample(sample(volume, a), b)
    assert_close(sample(volume, first.apply(b)), two_steps, atol=1e-5, rtol=0)


# --- sampling --------------------------------------------------------------------------------------------------------


def bright_voxel(x, y, z, size=8):
    volume = torch.zeros(1, 1, size, size, size)
    volume[0, 0, z, y, x] = 1
    return volume


def brightest(volume):
    """(x, y, z) of the brightest voxel."""
    depth, height, width = volume.shape[2:]
    index = volume.flatten().argmax().item()
    return index % width, index // width % height, index // (width * height)


def test_shift_puts_the_motion_in_and_out():
    """One cell of eight is 1/4: t_x = 1/4 moves the head one cell to the right; undoing it moves it back."""
    pose = identity_pose()._replace(translation=tensor([[0.25, 0, 0]]))
    driven = sample(bright_voxel(3, 4, 2), inverse_rigid_grid(pose, 8, 8, 8))
    assert brightest(driven) == (4, 4, 2)
    assert brightest(sample(driven, rigid_grid(pose, 8, 8, 8))) == (3, 4, 2)


@pytest.mark.parametrize(
    "angles, lands",
    [({"yaw": 90}, (7, 4, 4)), ({"pitch": 90}, (4, 7, 4)), ({"roll": 90}, (3, 4, 0))],
)
def test_bright_voxel_lands_where_the_pose_says(angles, lands):
    """A light at (1/8, 1/8, -7/8), the nose: a turn takes it to (7/8, 1/8, 1/8), a nod to (1/8, 7/8, 1/8)."""
    pose = identity_pose()._replace(rotation=rotation(**angles))
    nose = bright_voxel(4, 4, 0)
    driven = sample(nose, inverse_rigid_grid(pose, 8, 8, 8))
    assert brightest(driven) == lands
    assert brightest(sample(driven, rigid_grid(pose, 8, 8, 8))) == brightest(nose)


def test_outside_of_the_volume_is_empty_or_its_border():
    volume, outside = torch.ones(1, 1, 4, 4, 4), torch.full((1, 1, 1, 1, 3), 3.0)
    assert sample(volume, outside).item() == 0
    assert sample(volume, outside, padding="border").item() == 1


def test_projection_folds_depth_and_sums_nothing():
    volume = torch.randn(2, 3, 4, 5, 6)
    projected = project(volume)
    assert projected.shape == (2, 3 * 4, 5, 6)
    assert_close(projected.unflatten(1, (3, 4)), volume)


# --- gradients -------------------------------------------------------------------------------------------------------


def test_sampling_has_right_gradients():
    volume = torch.randn(1, 2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    grid = (torch.rand(1, 2, 2, 2, 3, dtype=torch.float64) * 1.2 - 0.6).requires_grad_()
    assert torch.autograd.gradcheck(sample, (volume, grid))


@pytest.mark.parametrize("move", [Pose.apply, Pose.unapply])
def test_poses_have_right_gradients(move):
    parts = [part.requires_grad_() for part in random_pose(2, torch.float64)]
    points = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, t, s, points: move(Pose(r, t, s), points), (*parts, points))


def test_angles_have_right_gradients():
    angles = (torch.rand(3, 2, dtype=torch.float64) * 60).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: torch.stack(angles_from_rotation(rotation_from_angles(*a))), (angles,))


def test_sliding_points_keeps_where_they_are_seen():
    pose = random_pose()
    pose = pose._replace(rotation=rotation_from_angles(*(20 * torch.rand(3, len(pose.scale)))))
    points = torch.randn(len(pose.scale), 5, 3)
    moved = slide_along_rays(points, pose.rotation, -0.5)
    assert_close(moved[..., 2], torch.full_like(moved[..., 2], -0.5), atol=1e-5, rtol=0)
    assert_close(pose.apply(moved)[..., :2], pose.apply(points)[..., :2], atol=1e-5, rtol=0)
