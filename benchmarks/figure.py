"""The ratios of all cases in one figure."""

from collections.abc import Sequence
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.comparison import NAMES, ratios_of
from benchmarks.harness import kinds
from nfml_jax.plots import style

ROW = 0.26  # inches
APART = 0.17  # of a row, between the kinds of time


def ratio_figure(records: Sequence[dict], title: str) -> Figure:
    """Draw our time divided by the fastest peer's: medians as dots, ranges as lines.

    Below 1 this project is faster. Cases without a peer aren't shown.
    """
    records = [record for record in records if record["peer"]]
    figure = style.new_figure(7.4, 1.1 + ROW * len(records), title)
    axes = figure.add_subplot()
    labelled = set()
    for place, record in enumerate(records):
        for number, kind in enumerate(kinds(record)):
            values, color = ratios_of(record, kind), style.PALETTE[number]
            y = place + APART * (2 * number - 1) * (len(kinds(record)) > 1)
            label = None if kind in labelled else f"{NAMES[kind]} time"
            labelled.add(kind)
            axes.plot([min(values), max(values)], [y, y], color=color, linewidth=1.6)
            axes.plot(median(values), y, "o", color=color, markersize=4, label=label)
    style.tidy(axes, "our time / the fastest peer's")
    axes.set_xscale("log")
    axes.axvline(1, color=style.INK, linewidth=1)
    names = [f"{record['case']}  ({record['peer']})" for record in records]
    axes.set_yticks(range(len(records)), names)
    axes.set_ylim(len(records) - 0.4, -0.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if len(labelled) > 1:
        above = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2}
        axes.legend(fontsize=style.SMALL, frameon=False, **above)
    return figure
