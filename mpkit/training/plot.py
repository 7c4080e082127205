"""`mpkit plot`: every number of a run's stats.jsonl over its steps, a panel each."""

import json
import math
from pathlib import Path

from mpkit.errors import MediaError, MpkitError

PANELS_ACROSS = 4
SMOOTHING = 20  # log lines averaged for the bold line


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
    """Draws the runs over each other to a picture file, e.g. PNG or SVG. Raises MediaError."""
    from matplotlib.figure import Figure

    stats = {Path(run).name: read_stats(run) for run in runs}
    names = [name for lines in stats.values() for name in lines[0] if name != "step"]
    names = sorted(dict.fromkeys(names), key=lambda name: (name != "loss", names.index(name)))
    down = math.ceil(len(names) / PANELS_ACROSS)
    figure = Figure(figsize=(3.4 * PANELS_ACROSS, 2.4 * down), layout="constrained")
    panels = iter(figure.subplots(down, PANELS_ACROSS, squeeze=False).flat)
    for name in names:
        panel = next(panels)
        for run, lines in stats.items():
            points = [(line["step"], line[name]) for line in lines if math.isfinite(line.get(name, math.nan))]
            if points:
                steps, values = zip(*points)
                (thin,) = panel.plot(steps, values, linewidth=0.6, alpha=0.4)
                panel.plot(steps, _smooth(values), color=thin.get_color(), label=run)
                if min(values) > 0 and max(values) > 4 * min(values):
                    panel.set_yscale("log")
        panel.set_title(name.replace("_", " "), fontsize=9)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.2)
    for panel in panels:  # the rest of the last row
        panel.set_visible(False)
    if len(runs) > 1:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(runs))
    figure.supxlabel("step", fontsize=9)
    try:
        figure.savefig(output, dpi=110)
    except (OSError, ValueError) as error:
        raise MpkitError(f"cannot write the plot to {output}: {error}") from None


def _smooth(values: tuple[float, ...]) -> list[float]:
    """Mean of the last SMOOTHING values."""
    return [sum(part) / len(part) for part in (values[max(0, i + 1 - SMOOTHING) : i + 1] for i in range(len(values)))]
