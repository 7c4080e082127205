"""Properties of the measures, the mesh baseline, the evaluation and the benchmark. The networks have random weights."""

import json
from fractions import Fraction
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import torch

from mpkit.config import preset
from mpkit.errors import MediaError, NoFaceError
from mpkit.evaluation import metrics
from mpkit.evaluation.bench import STAGES, bench, format_bench
from mpkit.evaluation.evaluate import compare, evaluate, format_table
from mpkit.evaluation.evaluation_set import QUICK, EvaluationSize, choose_moments, pixels_in_frame, read_set
from mpkit.evaluation.mesh_warp import BOUNDARY, MeshWarp, canonical_landmarks, draw
from mpkit.evaluation.metrics import SIGNALS
from mpkit.faces import Crop, cut, make_tracker, pose_in, select_face
from mpkit.geometry import Pose, identity_pose, rotation_from_angles
from mpkit.media.images import read_image, write_png
from mpkit.media.video_writer import VideoWriter
from mpkit.networks.base import BaseModel
from mpkit.weights import save_weights

SHARED = Path(__file__).parents[2] / "shared"
HOPPER = Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="module")
def hopper():
    """A picture, its face and the crop around it."""
    image = read_image(HOPPER)
    with make_tracker() as tracker:
        face = select_face(tracker.detect(image))
    return image, face, Crop.of(face)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    torch.manual_seed(0)
    save_weights(path, BaseModel(preset("nano")))
    return path


def write_set(folder: Path, image: np.ndarray) -> Path:
    """A set of one portrait and one clip of a head that leans, and of rows that are not to be measured."""
    write_png(folder / "portrait.png", image)
    with VideoWriter(folder / "clip.mp4", Fraction(25), (320, 384)) as writer:
        small = cv2.resize(image, (320, 384), interpolation=cv2.INTER_AREA)
        for index in range(14):
            turn = cv2.getRotationMatrix2D((160, 130), 12 * np.sin(index / 2), 1)
            writer.write(cv2.warpAffine(small, turn, (320, 384), borderMode=cv2.BORDER_REPLICATE))
    rows = [("portrait.png", "evaluate"), ("clip.mp4", "evaluate"), ("gone.mp4", "evaluate"), ("portrait.png", "train")]
    lines = ["path\tuse\trights", *(f"{path}\t{use}\tours" for path, use in rows)]
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return folder


# Measures


def test_correlation_has_a_sign_and_leaves_out_frames_without_a_face():
    a = np.array([0.0, 1, 2, 3, np.nan, 5])
    assert metrics.correlation(a, 3 * a + 1) == pytest.approx(1)
    assert metrics.correlation(a, np.array([0.0, -1, -2, np.nan, 7, -5])) == pytest.approx(-1)
    assert np.isnan(metrics.correlation(a, np.ones(6)))


def test_pooled_correlation_counts_differences_between_pairs():
    rng = np.random.default_rng(0)
    pairs = []
    for level in (0, 20):  # each output follows its driver's mean alone
        driver = level + 4 * rng.standard_normal((50, 8))
        pairs.append((driver, level + 0.5 * rng.standard_normal((50, 8))))
    row = compare(pairs)["yaw"]
    assert row["pooled"] > 0.8 and abs(row["per_pair"]) < 0.4 and row["pairs"] == 2


def test_per_pair_correlation_leaves_out_clips_that_do_not_move():
    driver = np.linspace(0, 1, 20)[:, None].repeat(8, 1)  # one degree of turn, but a whole action
    rows = compare([(driver, driver)])
    assert rows["yaw"]["pairs"] == 0 and np.isnan(rows["yaw"]["per_pair"])
    assert rows["jawOpen"]["pairs"] == 1 and rows["jawOpen"]["per_pair"] == pytest.approx(1)


def test_psnr_and_ssim_count_only_pixels_with_weight(hopper):
    truth = cut(hopper[0], hopper[2], 64)
    spoilt = truth.copy()
    spoilt[:32] = 255 - spoilt[:32]
    below = np.zeros((64, 64))
    below[40:] = 1
    assert metrics.psnr(truth, spoilt, below) > 80 and metrics.ssim(truth, spoilt, below) == pytest.approx(1)
    assert metrics.psnr(truth, spoilt, 1 - below) < 15 and metrics.ssim(truth, spoilt, 1 - below) < 0.6
    shifted = truth.astype(np.int16) + np.where(truth < 128, 10, -10)
    assert metrics.psnr(truth, shifted, np.ones((64, 64))) == pytest.approx(20 * np.log10(25.5))


def test_acceleration_is_zero_for_uniform_motion_and_independent_of_scale(hopper):
    face = hopper[1]

    def moved(x, scale=1.0):
        points = (face.landmarks + np.float32((x, 0, 0))) * np.float32(scale)
        return metrics.Face(points, face.box, face.actions, face.gaze, face.rotation, face.centre, face.radius * scale)

    assert metrics.acceleration(moved(0), moved(3), moved(6)) == pytest.approx(0, abs=1e-5)
    jump = metrics.acceleration(moved(0), moved(3), moved(0))
    assert jump == pytest.approx(6 / face.radius, rel=1e-3)
    assert metrics.acceleration(*(moved(x, 2) for x in (0, 3, 0))) == pytest.approx(jump, rel=1e-3)
    assert np.isnan(metrics.acceleration(moved(0), None, moved(0)))


def test_embedding_is_nearer_to_the_same_face_than_to_another(hopper):
    embedder = metrics.FaceEmbedder.load()
    if embedder is None:
        pytest.skip("needs dlib-bin and face-recognition-models")
    image, face, _ = hopper
    own = embedder(image, face)
    brighter = embedder(cv2.convertScaleAbs(image, alpha=1.2), face)
    assert own.shape == (128,) and metrics.distance_and_cosine(own, own) == pytest.approx((0, 1), abs=1e-6)
    assert metrics.distance_and_cosine(own, brighter)[0] < 0.4


# The mesh


def test_mesh_boundary_goes_once_around_the_face():
    assert len(BOUNDARY) == len(set(BOUNDARY.tolist())) == 36
    assert {10, 152, 234, 454} <= set(BOUNDARY.tolist())  # forehead, chin, both sides


def test_mesh_in_its_own_pose_returns_the_picture(hopper):
    image, face, crop = hopper
    picture = cut(image, crop, 128)
    warped = MeshWarp(picture, face, crop)(np.zeros((468, 3), np.float32), pose_in(face, crop))
    assert np.abs(warped.astype(int) - picture).mean() < 0.5


def test_mesh_takes_on_pose_and_expression(hopper):
    image, face, crop = hopper
    warp = MeshWarp(cut(image, crop, 256), face, crop)
    turned = rotation_from_angles(torch.tensor([18.0]), torch.tensor([-6.0]), torch.tensor([10.0]))
    offsets = np.zeros((468, 3), np.float32)
    offsets[warp.shape[:, 1] > warp.shape[14, 1], 1] = 0.08  # the lower lip, and the jaw with it
    with make_tracker() as tracker:
        found = select_face(tracker.detect(warp(offsets, Pose(turned, *identity_pose()[1:]))))
        opened = select_face(tracker.detect(warp(offsets, pose_in(face, crop))))
    assert found.angles == pytest.approx((18, -6, 10), abs=6)
    shut, wide = (np.linalg.norm(np.diff(canonical_landmarks(one)[[0, 17]], axis=0)) for one in (face, opened))
    assert wide > shut + 0.03  # from the upper to the lower lip


def test_later_triangles_cover_earlier_ones():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, 16:] = 200
    left, right = np.float32([(-1, -1), (-1, 1), (-0.2, 0)]), np.float32([(0.2, -1), (0.2, 1), (1, 0)])
    source, target = np.concatenate([left, right]), np.concatenate([left, left])
    assert draw(picture, source, target, np.array([[0, 1, 2], [3, 4, 5]]))[16, 4].max() == 200
    assert draw(picture, source, target, np.array([[3, 4, 5], [0, 1, 2]]))[16, 4].max() == 0


# The set


def test_moments_differ_and_share_no_frames():
    series = np.zeros((60, len(SIGNALS)))
    series[30:34, 0], series[50:54, 4] = 40, 0.9
    series[40] = np.nan
    moments = choose_moments(series, 3)
    assert any(30 <= i < 34 for i in moments) and any(50 <= i < 54 for i in moments)
    assert min(np.diff(choose_moments(series, 100))) >= 3
    assert not {39, 40, 41, 0, 1, 59} & set(choose_moments(series, 100))
    assert choose_moments(series[:3], 5) == []


def test_pixels_beyond_the_picture_are_not_in_the_frame():
    inside = pixels_in_frame(Crop(10, 50, 20), 100, 100)
    assert not inside[:, 0].any() and inside[:, -1].all() and inside.mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("table", [None, "path\tx\na.png\tevaluate\n", "path\tuse\ngone.png\tevaluate\n", "\xff\0"])
def test_set_without_usable_rows_is_one_clear_line(tmp_path, table):
    if table is not None:
        (tmp_path / "manifest.tsv").write_bytes(table.encode("latin-1"))
    with pytest.raises(MediaError) as error:
        read_set(tmp_path)
    assert "manifest.tsv" in str(error.value) and "\n" not in str(error.value)


def test_set_never_leaves_its_folder(tmp_path, hopper):
    inner = tmp_path / "inner"
    inner.mkdir()
    write_set(inner, hopper[0])
    write_png(tmp_path / "outside.png", hopper[0])
    with (inner / "manifest.tsv").open("a") as file:
        file.write("../outside.png\tevaluate\tours\n")
    stills, clips = read_set(inner)
    assert [path.name for path in stills] == ["portrait.png"] and [path.name for path in clips] == ["clip.mp4"]


def test_use_chooses_rows_in_the_manifests_order(tmp_path, hopper):
    write_set(tmp_path, hopper[0])
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).write_bytes((tmp_path / "clip.mp4").read_bytes())
    with (tmp_path / "manifest.tsv").open("a") as file:
        file.write("portrait.png\tdevelop\tours\nb.mp4\tdevelop\tours\na.mp4\tdevelop\tours\n")
    stills, clips = read_set(tmp_path, "develop")
    assert [path.name for path in (*stills, *clips)] == ["portrait.png", "b.mp4", "a.mp4"]
    with pytest.raises(MediaError, match="use train"):  # it has a portrait and no clip
        read_set(tmp_path, "train")


def test_size_counts_whole_moments():
    assert EvaluationSize(frames=11).moments == 3 and QUICK.moments < EvaluationSize().moments
    for nothing in ({"portraits": 0}, {"clips": 0}, {"frames": 2}):
        with pytest.raises(MediaError, match="at least 1 portrait"):
            EvaluationSize(**nothing)


# The whole evaluation


def test_evaluation_measures_everything_and_repeats_itself(tmp_path, hopper, weights):
    folder = write_set(tmp_path, hopper[0])
    size, output = EvaluationSize(frames=6), tmp_path / "result.json"
    results = [evaluate(folder, weights, size, output=output) for _ in range(2)]
    result = results[0]
    assert json.loads(output.read_text()) == results[1]
    for one in results:
        one.pop("seconds")
    assert results[0] == results[1]
    assert result["portraits"] == 1 and result["clips"] == ["clip.mp4"] and result["frames"] == 6
    for name in SIGNALS:
        assert set(result["encoder"][name]) == {"pooled", "per_pair", "pairs", "error"}
    assert result["cross"]["mesh"]["faces"] == 1
    assert result["cross"]["mesh"]["motion"]["roll"]["pooled"] > 0.8
    assert result["self"]["mesh"][0] > result["self"]["still"][0]
    table = format_table(result | {"seconds": 1, "weights": "", "preset": ""})
    assert "n/a" in table and "nan" not in table and all(name in table for name in SIGNALS)


def test_evaluation_without_faces_is_one_clear_line(tmp_path, weights):
    grey = np.full((384, 320, 3), 128, np.uint8)
    with pytest.raises(NoFaceError, match="no face in any clip"):
        evaluate(write_set(tmp_path, grey), weights, EvaluationSize(frames=3))


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared set")
def test_the_shared_set_holds_enough():
    stills, clips = read_set(SHARED / "data")
    assert len(stills) == 12 and len(clips) >= 6


def test_bench_times_every_stage(weights):
    result = bench(weights, sizes=(64, 128), frames=10, device="cpu")
    assert set(result["sizes"]) == {"64", "128"} and json.loads(json.dumps(result)) == result
    for row in result["sizes"].values():
        assert set(row["stages"]) == set(STAGES) and min(row["stages"].values()) > 0
        assert 0 < row["renderer_share"] < 1.5 and row["fps"] > 0
    assert result["convolution_gflops"] > 1 and result["renderer_gflop"] > 0
    assert all(stage in format_bench(result) for stage in STAGES)
    with pytest.raises(MediaError, match="10 frames"):
        bench(weights, frames=2)
