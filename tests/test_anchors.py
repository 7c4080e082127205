"""Anchor points of a face, and the affine map from a person's face to the average face, where the fine fields lie."""

import numpy as np
import pytest
import torch
from face_pictures import make_face
from support import NANO, some_motion, some_picture, stirred
from torch.testing import assert_close

from mpkit.data.bundled_people import load_people
from mpkit.data.pairs import PairSet
from mpkit.faces import Crop
from mpkit.faces.anchors import ANCHOR_DEPTHS, ANCHOR_LANDMARKS, anchors_in, anchors_of, flip_anchors
from mpkit.faces.canonical import CANONICAL_FACE
from mpkit.networks import BaseModel
from mpkit.networks.face_field import AVERAGE_ANCHORS, MAX_ANCHOR_OFFSET, Offsets, align_to_average

LONG_FACE = torch.tensor([[[-0.17, -0.15, -0.4], [0.18, -0.14, -0.4], [0.01, 0.30, -0.5]]])


def mapped(matrix, points):
    return torch.einsum("bij,bnj->bni", matrix, torch.nn.functional.pad(points[..., :2], (0, 1), value=1.0))


def test_alignment_maps_the_anchors_to_those_of_the_average_face():
    assert_close(mapped(align_to_average(LONG_FACE), LONG_FACE), torch.tensor([AVERAGE_ANCHORS]))


def test_alignment_of_the_average_face_is_the_identity():
    points = torch.rand(1, 5, 2)
    assert_close(mapped(align_to_average(torch.tensor([AVERAGE_ANCHORS])), points), points, atol=1e-5, rtol=0)


def test_alignment_of_a_mirrored_face_is_the_mirrored_alignment():
    mirror, points = torch.tensor([-1.0, 1.0]), torch.rand(1, 5, 2)
    flipped = align_to_average(flip_anchors(LONG_FACE))
    expected = mapped(align_to_average(LONG_FACE), points) * mirror
    assert_close(mapped(flipped, points * mirror), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_anchors_that_no_face_has_are_limited(value):
    """Three equal points have no affine map; so their offset from the average is limited to `MAX_ANCHOR_OFFSET`."""
    matrix = align_to_average(torch.full((1, 3, 3), value))
    assert matrix.isfinite().all() and matrix.abs().max() < 10 and MAX_ANCHOR_OFFSET < 0.2


@pytest.mark.parametrize("angles", [(0, 0, 0), (35, -10, 20)])
def test_anchors_of_a_tracked_face_do_not_depend_on_its_pose(angles):
    face, own = make_face(angles=angles), LONG_FACE.clone()
    own[..., 2] = torch.tensor(ANCHOR_DEPTHS)
    for pair, point in zip(ANCHOR_LANDMARKS, own[0].numpy()):
        face.landmarks[list(pair), :2] = (face.radius * face.rotation @ point)[:2] + face.centre
    assert_close(anchors_in(face, Crop.of(face, margin=1.3)), own, atol=1e-4, rtol=0)


def test_canonical_mesh_has_the_anchors_of_the_average_face():
    anchors = anchors_of(CANONICAL_FACE)
    assert np.abs(anchors[:, :2] - np.float32(AVERAGE_ANCHORS)).max() < 0.02
    assert np.abs(anchors[:, 2] - np.float32(ANCHOR_DEPTHS)).max() < 0.04


def test_fine_field_follows_the_lips_of_the_person():
    """A field over the lips of the average face moves the lower lips of this person, and nothing above them."""
    face = torch.zeros(1, 2, 80, 80)
    x, y = AVERAGE_ANCHORS[2]
    column, row = (round((value - centre + 0.7) / 1.4 * 80 - 0.5) for value, centre in ((x, 0.0), (y, 0.1)))
    face[:, 0, row : row + 2, column - 1 : column + 2] = 1.0
    moves = Offsets(torch.zeros(1, 3, 2, 2, 2), face, (0.0, 0.1, 0.7), align=align_to_average(LONG_FACE)).displace
    own, average = LONG_FACE[:, None, 2:], torch.tensor([[[[x, y, -0.5]]]])
    assert (moves(own) - own)[..., 0] > 0.5
    assert_close(moves(average), average)


def test_offsets_of_source_and_driver_have_the_alignment_of_the_source():
    model, motion = stirred(BaseModel(NANO)).eval(), some_motion()
    avatar = model.source(some_picture(), motion, LONG_FACE)
    for offsets in (avatar.offsets, model.drive(avatar, motion).offsets):
        assert_close(offsets.align, align_to_average(LONG_FACE))
    assert model.source(some_picture(), motion).align is None
    rest = model.neutral_anchors(some_picture(), motion, LONG_FACE)
    assert_close(rest[:, :2], LONG_FACE[:, :2])  # no expression moves the corners of the eyes
    assert rest.shape == LONG_FACE.shape and (rest - LONG_FACE)[:, 2].abs().max() > 0


def test_pairs_have_the_anchors_of_each_person():
    batch = PairSet.from_people(load_people()[:2], 4, 2, augment=False)[0]
    assert batch.source.anchors.shape == (4, 3, 3) and batch.driver.anchors.shape == (8, 3, 3)
    offset = batch.source.anchors[..., :2] - torch.tensor(AVERAGE_ANCHORS)
    assert 0 < offset.abs().max() < MAX_ANCHOR_OFFSET
    assert_close(batch.driver.anchors, batch.source.anchors.repeat_interleave(2, 0))
