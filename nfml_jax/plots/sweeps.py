"""What a sweep found: metrics against a number that it varied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from nfml_jax.plots import style

DECADES = 30.0  # so many times the least, and the axis is logarithmic


@dataclass(frozen=True)
class Series:
    """Means `y` with half widths `half` (0: of one run) at `x`; `lost`, the x without.

    All of one length but `lost`.
    """

    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float]
    lost: Sequence[float] = ()


def sweep_curves(panels: Mapping[str, Mapping[str, Series]], xlabel: str) -> Figure:
    """A panel for each metric, in it a line for each named series, crosses for lost."""
    figure = style.new_figure(4.6 * len(panels), 3.6)
    for i, (metric, series) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), i)
        for (name, s), colour in zip(
            series.items(), style.colours(len(series)), strict=True
        ):
            axes.errorbar(s.x, s.y, yerr=s.half, color=colour, alpha=0.5, fmt="none")
            label = style.literal(name)
            axes.plot(s.x, s.y, color=colour, marker="o", markersize=4, label=label)
            # At the foot of the panel, whatever its scale.
            (crosses,) = axes.plot(
                s.lost,
                [0.02] * len(s.lost),
                color=colour,
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
        # One for all panels, beside them.
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside right upper",
            fontsize=style.SMALL,
            frameon=False,
        )
    return figure
