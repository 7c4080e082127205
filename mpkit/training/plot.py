"""`mpkit plot`: every number of a run's stats.jsonl over its steps, a panel each."""

import json
from pathlib import Path

from mpkit.errors import MediaError, MpkitError


def read_stats(run: str | Path) -> list[dict]:
    """The lines of a run's stats.jsonl, oldest first. A killed run that went on repeats some steps: the later counts.

    Raises MediaError where there are none or they are not numbers."""
    file = Path(run) / "stats.jsonl"
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        by_step = {int(line["step"]): {name: float(value) for name, value in line.items()} for line in lines}
    except FileNotFoundError:
        raise MediaError(f"{run} holds no stats.jsonl: is it the folder of a run?") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MediaError(f"{file} is not readable as statistics of a run: {error}") from None
    if not by_step:
        raise MediaError(f"{file} is empty: the run has not logged a step yet")
    return [by_step[step] for step in sorted(by_step)]


def plot_runs(runs: list[str | Path], output: str | Path) -> None:
    """Draws the runs over each other (`viz.loss_curves`) to a picture file, e.g. PNG or SVG.

    Raises MediaError where a folder holds no run, and MpkitError where the picture cannot be written."""
    from mpkit.viz import loss_curves

    figure = loss_curves({Path(run).name: read_stats(run) for run in runs})
    try:
        figure.savefig(output)
    except (OSError, ValueError) as error:
        raise MpkitError(f"cannot write the plot to {output}: {error}") from None
