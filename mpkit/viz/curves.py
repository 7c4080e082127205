"""Curves of training runs."""

import math

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mpkit.viz.style import LINES, SMALL, TEXT, new_figure, tidy

MAX_ACROSS = 3  # panels
SMOOTHING = 20  # log lines averaged for the bold line
LOG_RATIO = 4  # largest value over smallest, from which the axis is logarithmic


def loss_curves(stats: dict[str, list[dict]]) -> Figure:
    """Every logged number of training runs over their steps: one panel for each term, one colour for each run.

    The thin line is what was logged, the bold line the mean of the last 20 log lines. Where a term falls to a quarter
    or lower its axis is logarithmic. stats: for each run's name its log lines, oldest first, as `read_stats` gives
    them; a line has a "step" and numbers, those that are not finite are left out.
    """
    names = dict.fromkeys(name for lines in stats.values() for line in lines for name in line if name != "step")
    names = sorted(names, key=lambda name: name != "loss")
    colours = [LINES[index % len(LINES)] for index in range(len(stats))]
    across = min(len(names), MAX_ACROSS) or 1
    down = max(1, math.ceil(len(names) / across))
    figure = new_figure(2.1 * down + 0.5)
    panels = figure.subplots(down, across, squeeze=False).flat
    for name, panel in zip(names, panels):
        for colour, lines in zip(colours, stats.values()):
            points = [(line["step"], line[name]) for line in lines if math.isfinite(line.get(name, math.nan))]
            if points:
                steps, values = zip(*points)
                panel.plot(steps, values, color=colour, linewidth=0.6, alpha=0.4)
                panel.plot(steps, _smooth(values), color=colour, linewidth=1.6)
        low, high = panel.dataLim.intervaly
        if 0 < LOG_RATIO * low < high:
            panel.set_yscale("log")
        panel.set_title(name.replace("_", " "), **TEXT)
        tidy(panel)
    for panel in panels:  # the rest of the last row
        panel.set_visible(False)
    figure.supxlabel("step", **SMALL)
    if len(stats) > 1:
        handles = [Line2D([], [], color=colour, label=run) for colour, run in zip(colours, stats)]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(stats), 4), fontsize=9, frameon=False)
    return figure


def _smooth(values: tuple[float, ...]) -> list[float]:
    """Mean of the last SMOOTHING values."""
    return [sum(part) / len(part) for part in (values[max(0, i + 1 - SMOOTHING) : i + 1] for i in range(len(values)))]
