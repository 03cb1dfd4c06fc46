"""Figures of a sweep: metrics against a number that was varied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from nfml_jax.plots import style

DECADES = 30.0  # ratio of the largest to the least from which the axis is logarithmic


@dataclass(frozen=True)
class Series:
    """Means `y` with half widths `half` (0: one run) at `x`; `lost` is the x without.

    All but `lost` have the same length.
    """

    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float]
    lost: Sequence[float] = ()


def sweep_curves(panels: Mapping[str, Mapping[str, Series]], xlabel: str) -> Figure:
    """Draw a panel for each metric: a line for each series, and crosses for lost."""
    figure = style.new_figure(4.6 * len(panels), 3.6)
    for i, (metric, series) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), i)
        for (name, s), color in zip(
            series.items(), style.colors(len(series)), strict=True
        ):
            axes.errorbar(s.x, s.y, yerr=s.half, color=color, alpha=0.5, fmt="none")
            label = style.literal(name)
            axes.plot(s.x, s.y, color=color, marker="o", markersize=4, label=label)
            # The crosses are at the bottom of the panel, whatever its scale.
            (crosses,) = axes.plot(
                s.lost,
                [0.02] * len(s.lost),
                color=color,
                marker="x",
                linestyle="",
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
            crosses.set_in_layout(False)
        style.tidy(axes, xlabel, metric)
        points = [x for s in series.values() for x in (*s.x, *s.lost)]
        if min(points) > 0 and max(points) >= DECADES * min(points):
            axes.set_xscale("log")
    if any(series):
        # One legend for all panels, beside them.
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside right upper",
            fontsize=style.SMALL,
            frameon=False,
        )
    return figure
