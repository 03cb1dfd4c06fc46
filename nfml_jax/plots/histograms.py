"""Distributions of angles to class weights and of cosines of pairs."""

import numpy as np
from matplotlib.figure import Figure

from nfml_jax.plots import style


def _legend_below(figure: Figure) -> None:
    figure.legend(
        loc="outside lower center", ncols=3, fontsize=style.TEXT, frameon=False
    )


def angle_histograms(
    target_angles, nearest_other_angles=None, title: str = ""
) -> Figure:
    """Draw angles `[N]` in degrees to the target weight and to the nearest other."""
    figure = style.new_figure(6.4, 4)
    axes = figure.add_subplot()
    groups = {
        "target class": target_angles,
        "nearest other class": nearest_other_angles,
    }
    for (name, angles), color in zip(groups.items(), style.PALETTE[:2], strict=True):
        if angles is None:
            continue
        angles = np.ravel(angles)
        median = np.median(angles)
        axes.hist(
            angles,
            bins=np.linspace(0, 180, 181).tolist(),
            weights=np.full(len(angles), 1 / len(angles)),
            color=color,
            alpha=0.6,
            histtype="stepfilled",  # one shape instead of hundreds of bars
            label=f"{name}, median {median:.1f}°",
        )
        axes.axvline(median, color=color, linewidth=1.2, linestyle="--")
    style.tidy(axes, "angle to the class weight (degrees)", "share per degree", title)
    axes.set_xlim(0, 180)
    axes.set_xticks(range(0, 181, 30))
    _legend_below(figure)
    return figure


def pair_histograms(
    genuine, impostor, edges=None, threshold: float | None = None, title: str = ""
) -> Figure:
    """Draw cosines of genuine and impostor pairs, each as shares of its kind.

    They are scores `[G]` and `[I]`, or with `edges` `[bins + 1]` their counts `[bins]`
    (`PairHistograms`). The scale is logarithmic, because errors lie in the tails.
    """
    figure = style.new_figure(6.4, 4)
    axes = figure.add_subplot()
    groups, least = {"genuine": genuine, "impostor": impostor}, 1.0
    for (name, values), color in zip(groups.items(), style.PALETTE[:2], strict=True):
        values = np.ravel(values)
        counts = np.ones(len(values)) if edges is None else values
        scores = values if edges is None else (edges[:-1] + edges[1:]) / 2
        total = counts.sum()
        shares, _, _ = axes.hist(
            np.clip(scores, -1, 1),
            bins=np.linspace(-1, 1, 129).tolist(),
            weights=counts / max(total, 1),
            color=color,
            alpha=0.6,
            histtype="stepfilled",  # one shape instead of hundreds of bars
            label=f"{name}, {total:,.0f} pairs",
        )
        shares = np.asarray(shares)
        least = min(least, shares[shares > 0].min(initial=least))
    if threshold is not None:
        axes.axvline(
            threshold,
            color=style.INK,
            linewidth=1.2,
            linestyle="--",
            label=f"threshold {threshold:.3f}",
        )
    style.tidy(axes, "cosine of the pair", "share of pairs per bin", title)
    axes.set_xlim(-1, 1)
    # The limits leave the lowest bars visible.
    axes.set(yscale="log", ylim=(least / 2, None))
    _legend_below(figure)
    return figure
