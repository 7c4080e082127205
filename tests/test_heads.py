"""Synthetic people: renders agree with their labels, poses and expressions do what they say, seeds fix the result."""

import numpy as np
import pytest
import torch

from mpkit.actions import ACTIONS, gaze_of
from mpkit.data.labels import Surface, Topology, mouth_inside, true_flow
from mpkit.data.shards import HeadShards, write_shards
from mpkit.errors import MediaError
from mpkit.faces.canonical import CANONICAL_FACE, STABLE_WEIGHTS, fit_pose
from mpkit.faces.shoulders import FOLLOW_SHIFT, FOLLOW_TURN, NECK_BASE
from mpkit.synthetic.anatomy import express, in_mouth, landmarks_on, load_template, move, sample_identity
from mpkit.synthetic.heads import MIN_CAMERA_DISTANCE, in_perspective, render_identity, surface_layout
from mpkit.synthetic.look import carved, floats, sample_look
from mpkit.synthetic.painting import KINDS, finish, sample_style
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix, sample_actions, sample_motion
from mpkit.synthetic.raster import interpolate, rasterize, vertex_normals
from mpkit.synthetic.shading import Mesh, Scene, shade, shadow_map, sky_visibility
from mpkit.synthetic.wear import PARTS

SIZE, FRAMES = 64, 3


@pytest.fixture(scope="module")
def person():
    return render_identity(7, FRAMES, SIZE)


@pytest.fixture(scope="module")
def identity():
    return sample_identity(np.random.default_rng(3))


def action(**values):
    """True actions (52,) by name, 0 for the rest."""
    return np.float32([values.get(name, 0.0) for name in ACTIONS])


def test_the_nearer_of_two_triangles_is_visible():
    corners = np.float32([(-1, -1, 0.5), (1, -1, 0.5), (-1, 1, 0.5), (-1, -1, 0.1), (0, -1, 0.1), (-1, 0, 0.1)])
    triangle, barycentric, depth = rasterize(corners, np.int32([(0, 1, 2), (3, 4, 5)]), 8)
    assert triangle[0, 0] == 1 and triangle[0, 5] == 0 and triangle[7, 7] == -1
    assert np.allclose(depth[0, [0, 5]], (0.1, 0.5)) and np.isinf(depth[7, 7])
    seen = interpolate(corners, np.int32([(0, 1, 2), (3, 4, 5)]), triangle[0], barycentric[0])
    assert np.allclose(seen[:6, :2], [((2 * x + 1) / 8 - 1, 1 / 8 - 1) for x in range(6)], atol=1e-5)


def test_normals_face_the_camera_in_front():
    template, person = load_template(), sample_identity(np.random.default_rng(0))
    normals = vertex_normals(person.neutral, template.faces)
    assert np.allclose(np.linalg.norm(normals[: len(template.kept)], axis=1), 1, atol=1e-4)
    assert landmarks_on(normals)[[4, 151, 199], 2].max() < -0.5  # tip of the nose, forehead, chin


def frontal_surface(identity, shift=(0.0, 0.0, 0.0), **actions) -> Surface:
    """What a frontal frame shows at 96 x 96 cells."""
    upright = np.eye(3, dtype=np.float32)
    vertices = move(identity, SyntheticMotion(upright, np.float32(shift), 1.0, upright, action(**actions)))
    raster = rasterize(vertices, load_template().faces, 96)
    return Surface(*(torch.from_numpy(part)[None] for part in (raster.triangle, raster.barycentric, vertices)))


@pytest.fixture(scope="module")
def topology():
    return Topology.of([load_template().faces])


def test_the_mouth_interior_is_known_without_the_body_model():
    """The vertices in the assets are those of the template's parts."""
    template = load_template()
    inner = [PARTS.index(name) for name in ("mouth", "tongue", "teeth")]
    assert np.array_equal(in_mouth(template.faces), np.isin(template.part, inner))


def test_closed_lips_hide_teeth_and_open_ones_show_them(identity, topology):
    closed = frontal_surface(identity)
    opened = frontal_surface(identity, jawOpen=0.3, mouthUpperUpLeft=0.6, mouthUpperUpRight=0.6)
    before, inside = (mouth_inside(surface.triangle, topology) for surface in (closed, opened))
    from_closed, from_opened = (true_flow(source, opened, topology)[1][inside] for source in (closed, opened))
    assert inside.sum() > 10 and before.sum() < inside.sum() / 4
    assert not from_closed.any() and from_opened.float().mean() > 0.9


def test_points_outside_the_source_are_not_hidden(identity, topology):
    """Shoulders that come into view count as shown, because the source is continued beyond its edge."""
    low, high = frontal_surface(identity), frontal_surface(identity, shift=(0.0, -1.0, 0.0))
    flow, shown = true_flow(low, high, topology)
    beyond = (high.triangle >= 0) & (flow[..., 1] > 1)
    assert beyond.sum() > 500 and shown[beyond].all()


def test_the_same_seed_gives_the_same_bytes(person):
    again = render_identity(7, FRAMES, SIZE)
    assert all(np.array_equal(person[name], again[name]) for name in person)
    other = render_identity(8, 1, SIZE)
    assert not np.array_equal(person["images"][0], other["images"][0])


def test_fields_have_their_shapes_and_ranges(person):
    vertices, faces = person["neutral"].shape[0], person["faces"]
    assert person["images"].shape == (FRAMES, SIZE, SIZE, 4) and person["images"].dtype == np.uint8
    assert person["triangle"].shape == (FRAMES, SIZE // 2, SIZE // 2) and person["triangle"].max() < len(faces)
    assert person["vertices"].shape == (FRAMES, vertices, 3) and faces.max() == vertices - 1
    assert person["actions"].shape == (FRAMES, 52) and person["gaze"].shape == (FRAMES, 2)
    assert all(np.isfinite(array).all() for array in person.values())
    assert (person["actions"] >= 0).all() and (person["actions"] <= 1).all()


def test_the_head_moves_as_its_pose_says(identity):
    rng = np.random.default_rng(1)
    motion = sample_motion(rng)
    view, canonical = move(identity, motion), express(identity, motion.actions)
    rigid = identity.head_share == 1
    posed = motion.scale * canonical @ motion.rotation.T + motion.translation
    assert rigid.sum() > 3000
    assert np.abs(view - posed)[rigid].max() < 1e-5
    assert np.abs(view - posed)[identity.head_share == 0].max() > 1e-2 and motion.translation[2] == 0


def test_shoulders_follow_a_head_part_of_its_way(identity):
    """A head that moves, or that turns about the base of its neck, moves them by the measured shares."""
    upright, shoulders = np.eye(3, dtype=np.float32), identity.head_share == 0
    turned = rotation_matrix(20.0, 0.0, 10.0)

    def moved(rotation, shift):
        motion = SyntheticMotion(rotation, np.float32([*shift, 0]), 1.0, upright, np.zeros(52, np.float32))
        return (move(identity, motion) - identity.neutral)[shoulders]

    assert np.allclose(moved(upright, (0.2, -0.1)), FOLLOW_SHIFT * (0.2, -0.1, 0), atol=1e-6)
    assert np.allclose(moved(turned, (0, 0)), FOLLOW_TURN * (turned @ NECK_BASE - NECK_BASE), atol=1e-5)


def test_a_near_camera_enlarges_the_nose(identity):
    """By the ratio of distances; points in the plane of the head's centre stay where they are."""
    points = np.float32([(0.3, -0.2, 0.0), (0.3, -0.2, -0.5), (0.3, -0.2, 0.5)])
    near = in_perspective(points, 0.25)
    assert np.allclose(near[:, 0], (0.3, 0.3 * 4 / 3.5, 0.3 * 4 / 4.5)) and np.array_equal(near[:, 2], points[:, 2])
    assert np.array_equal(in_perspective(identity.neutral, 0.0), identity.neutral)

    def nose_to_ears(vertices):
        face = landmarks_on(vertices)
        return (face[358, 0] - face[129, 0]) / (face[454, 0] - face[234, 0])

    nearest = in_perspective(identity.neutral, 1 / MIN_CAMERA_DISTANCE)
    assert 1.03 < nose_to_ears(nearest) / nose_to_ears(identity.neutral) < 1.2
    assert np.isfinite(nearest).all()


def test_actions_are_as_strong_as_those_of_people(identity):
    """At 1, mouthLowerDown lowers the lip, and browInnerUp raises the brows, as far as on real faces."""

    def height(pairs, **values):
        face = landmarks_on(express(identity, action(**values)))
        return face[pairs, 1].mean()

    lower, brows = [14, 87, 317], [107, 336, 66, 296]
    drop = height(lower, mouthLowerDownLeft=1, mouthLowerDownRight=1) - height(lower)
    assert 0.035 < drop < 0.065 and -0.05 < height(brows, browInnerUp=1) - height(brows) < -0.025


def test_visible_points_land_on_their_pixels(person):
    for k in range(FRAMES):
        triangle = person["triangle"][k]
        rows, columns = np.nonzero(triangle >= 0)
        at = triangle[rows, columns], person["barycentric"][k][rows, columns]
        points = interpolate(person["vertices"][k].astype(np.float32), person["faces"], *at)
        centres = (np.stack([columns, rows], -1) * 2 + 1) / (SIZE // 2) - 1
        assert np.abs(points[:, :2] - centres).max() * SIZE / 4 < 0.1  # pixels of the half-size picture


def test_the_matte_covers_the_visible_triangles(person):
    matte = person["images"][..., 3].reshape(FRAMES, SIZE // 2, 2, SIZE // 2, 2).mean((2, 4))
    seen = person["triangle"] >= 0
    assert (matte[seen] > 0).all() and matte[seen].mean() > 245 and matte[~seen].mean() < 10


def test_canonical_coordinates_are_those_of_the_tracker(identity):
    rotation, centre, radius = fit_pose(landmarks_on(identity.neutral))
    assert np.allclose(rotation, np.eye(3), atol=1e-3) and np.allclose(centre, 0, atol=1e-3) and abs(radius - 1) < 1e-3
    away = np.linalg.norm(landmarks_on(identity.neutral) - CANONICAL_FACE, axis=1)
    assert away[STABLE_WEIGHTS > 0].mean() < 0.06


def test_blinks_close_jaws_open_and_eyes_turn(identity):
    def landmarks(**values):
        return landmarks_on(express(identity, action(**values)))

    rest, blink, jaw = landmarks(), landmarks(eyeBlinkLeft=1, eyeBlinkRight=1), landmarks(jawOpen=1)
    gap = [(face[145, 1] - face[159, 1], face[374, 1] - face[386, 1]) for face in (rest, blink)]
    assert max(gap[1]) < 0.35 * min(gap[0])
    assert jaw[199, 1] - rest[199, 1] > 0.08 and np.abs(jaw[151] - rest[151]).max() < 1e-3  # chin, forehead
    template = load_template()
    look = action(eyeLookOutLeft=1, eyeLookInRight=1, eyeLookDownLeft=0.5, eyeLookDownRight=0.5)
    turned = express(identity, look)
    for eye in template.eyes:
        front = eye[identity.neutral[eye, 2].argmin()]
        assert turned[front, 0] > identity.neutral[front, 0] + 0.02 and turned[front, 1] > identity.neutral[front, 1]
    assert np.allclose(gaze_of(look), (1, 0.5))


def test_every_kind_of_picture_keeps_the_matte():
    """All kinds are drawn, none changes the matte, and craquelure darkens some of the picture."""
    rng = np.random.default_rng(0)
    styles = [sample_style(rng) for _ in range(400)]
    assert {style.kind for style in styles} == set(KINDS) and any(style.cracks for style in styles)
    colour, matte = np.full((64, 64, 3), 0.5, np.float32), np.zeros((64, 64), np.float32)
    matte[16:48, 16:48] = 1
    still = np.zeros(2)
    for kind in KINDS:
        picture = finish(colour * matte[..., None], matte, next(s for s in styles if s.kind == kind), still)
        assert picture.shape == (64, 64, 4) and np.array_equal(picture[..., 3], matte * 255)
    cracked = next(style for style in styles if style.cracks)
    whole = finish(colour, matte, cracked._replace(cracks=0.0), still).astype(int)
    broken = finish(colour, matte, cracked._replace(cracks=0.5), still).astype(int)
    darker = (whole - broken)[..., :3].mean(-1)
    assert 0.02 < (darker > 15).mean() < 0.6 and (darker > -40).all()


def test_ambient_occlusion_darkens_the_mouth(identity):
    """The tip of the nose sees nearly the whole sky, the tongue in a closed mouth almost nothing of it."""
    template = load_template()
    sky = sky_visibility(identity.neutral, vertex_normals(identity.neutral, template.faces), template.faces)
    tongue = np.unique(template.faces[template.part == PARTS.index("tongue")])
    assert sky.min() >= 0 and sky.max() <= 1
    assert landmarks_on(sky[:, None])[4] > 0.8 and sky[tongue].mean() < 0.1


def test_the_side_towards_the_light_is_brighter(identity):
    template, (texture, layout) = load_template(), surface_layout()
    neutral = identity.neutral
    normals = vertex_normals(neutral, template.faces)
    sky = np.ones(len(neutral), np.float32)
    mesh = Mesh(template.faces, template.part, neutral, normals, texture, template.lid_rim, sky)
    look = sample_look(np.random.default_rng(0), 0.7, 0.5, 0.0, np.zeros(8), np.zeros(8))
    raster, brightness = rasterize(neutral, template.faces, 128), []
    for x in (-0.8, 0.8):
        direction = np.float32((x, 0, -0.6))
        shadow = shadow_map(neutral, template.faces, direction)
        colour, matte = shade(raster, Scene(mesh, shadow, look._replace(light_direction=floats(direction)), layout))
        brightness.append([half.sum() for half in np.split(colour.mean(2), 2, axis=1)])
    assert np.array_equal(matte > 0, (raster.triangle.reshape(64, 2, 64, 2) >= 0).any((1, 3)))
    (left, right), (left_again, right_again) = brightness
    assert left > 1.2 * left_again and right_again > 1.2 * right


def test_a_sculpture_has_one_colour():
    rng = np.random.default_rng(1)
    look = carved(sample_look(rng, 0.7, 0.5, 0.0, np.zeros(8), np.zeros(8)), rng)
    assert all(part == look.skin for part in (look.lips, look.hair, look.iris, look.cloth, look.brow))
    assert look.make_up == look.blush == look.freckles == 0


def test_random_expressions_cover_their_range():
    rng = np.random.default_rng(0)
    actions = np.stack([sample_actions(rng) for _ in range(400)])
    column = {name: actions[:, n] for n, name in enumerate(ACTIONS)}
    assert (column["eyeBlinkLeft"] > 0.95).mean() > 0.08 and (column["jawOpen"] > 0.4).mean() > 0.08
    assert (column["mouthSmileLeft"] > 0.5).mean() > 0.05 and (column["mouthClose"] <= column["jawOpen"]).all()
    gazes = np.stack([gaze_of(row) for row in actions])
    assert (gazes.min(0) < -0.8).all() and (gazes.max(0) > 0.8).all()


def test_shards_read_back_and_continue(tmp_path):
    write_shards(tmp_path, 3, 2, 32, seed=7, block=2)
    shards = HeadShards(tmp_path)
    person, sample = render_identity(8, 2, 32), shards.sample(1, 1)
    assert len(shards) == 3 and np.array_equal(sample["faces"], person["faces"])
    for name in person:
        if name not in ("faces", "neutral"):
            assert np.array_equal(sample[name], person[name][1])
    assert np.array_equal(sample["neutral"], person["neutral"])
    first = (tmp_path / "shard-00000" / "images.npy").stat().st_mtime_ns
    write_shards(tmp_path, 4, 2, 32, seed=7, block=2)
    assert len(HeadShards(tmp_path)) == 4 and (tmp_path / "shard-00000" / "images.npy").stat().st_mtime_ns == first
    with pytest.raises(MediaError, match="another kind"):
        write_shards(tmp_path, 4, 2, 64, seed=7, block=2)


def test_errors_are_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match="even"):
        render_identity(0, 1, 33)
    with pytest.raises(MediaError, match="no finished training data"):
        HeadShards(tmp_path)
    with pytest.raises(MediaError, match="there is no folder .*absent"):
        HeadShards(tmp_path / "absent")
