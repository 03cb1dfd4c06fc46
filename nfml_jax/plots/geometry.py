"""The geometry of metrics, margins and losses, from values computed on grids.

After the figures of Weinberger and Saul (2009), Deng et al. (ArcFace, 2019) and Wang et
al. (CosFace, 2018), but nothing is drawn by hand: lines are where values change sign.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nfml_jax.plots import style
from nfml_jax.plots.densities import Limits

HEAT = "viridis"
LEVELS = 12
CORNERS = 100  # points of a ball's outline
GRADES = [style.PALETTE[i] for i in (3, 1, 2)]
LINES = ("--", "-", ":")


def metric_balls(
    matrices: Mapping[str, np.ndarray],
    centers,
    points,
    labels,
    class_names: Sequence[str] | None = None,
    columns: Sequence[str] = ("", ""),
) -> Figure:
    """Draw unit balls ‖L (x - center)‖ = 1 of metrics in the plane, a panel for each.

    `matrices` are invertible L `[2, 2]` by name, `centers [K, 2]`; `points [N, 2]` with
    labels `[N]` lie below them.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    names = style.class_names(class_names, int(labels.max(initial=0)) + 1)
    colors = style.colors(len(names))
    turn = np.linspace(0, 2 * np.pi, CORNERS)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    # Nearly all points lie within; outliers shrink nothing.
    low, high = np.quantile(points, [0.02, 0.98], axis=0)
    pad = 0.12 * (high - low) + np.where(high > low, 0, 1)
    (x0, y0), (x1, y1) = low - pad, high + pad
    height = np.clip((y1 - y0) / (x1 - x0), 0.4, 2.5)
    figure = style.new_figure(
        max(2.1 * len(matrices) + 0.5, 4), round(2.1 * height + 1.2, 1)
    )
    style.spaced(figure, w_pad=0.04)
    axes = figure.subplots(1, len(matrices), squeeze=False, sharey=True)
    for cell, (name, matrix) in zip(axes[0], matrices.items(), strict=True):
        cell.scatter(*points.T, c=colors[labels], s=6, alpha=0.5, linewidths=0)
        outline = np.linalg.solve(matrix, circle).T
        outlines = LineCollection(
            [center + outline for center in np.asarray(centers)],
            colors=style.INK,
            linewidths=1.3,
        )
        cell.add_collection(outlines, autolim=False)
        cell.scatter(*np.transpose(centers), s=6, color=style.INK, zorder=3)
        style.tidy(cell, columns[0], columns[1] if cell is axes[0, 0] else "", name)
        cell.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    handles = [
        Line2D([], [], color=color, marker="o", markersize=5, linestyle="", label=name)
        for name, color in zip(names, colors, strict=True)
    ]
    _legend_below(figure, handles)
    return figure


def decision_regions(
    rows: Mapping[str, Mapping[str, tuple]],
    axes: Mapping[str, tuple[np.ndarray, str, str]],
) -> Figure:
    """Draw the class of two that an example is trained to, and the margin between them.

    `rows[space][head]` are two arrays `[size, size]`: the lead of class 1, and of class
    2, over the other where it is the target, with its margin subtracted. `axes[space]`
    are the grid's values along either side and the names of the sides; the first array
    axis is the second side's.
    """
    heads = list(next(iter(rows.values())))
    figure = style.new_figure(max(2.1 * len(heads) + 0.6, 5.6), 2.2 * len(rows) + 0.7)
    style.spaced(figure, w_pad=0.04, h_pad=0.06)
    cells = figure.subplots(len(rows), len(heads), squeeze=False)
    for i, (space, panels) in enumerate(rows.items()):
        values, *names = axes[space]
        for j, (head, gaps) in enumerate(panels.items()):
            cell = cells[i, j]
            for gap, color in zip(gaps, style.PALETTE, strict=False):
                _region(cell, values, gap, color)
            name = head if i == 0 else ""
            style.tidy(cell, names[0], names[1] if j == 0 else "", name)
            ticks = np.linspace(values[0], values[-1], 5)
            cell.set(aspect="equal", xticks=ticks, yticks=ticks)
            cell.title.set_fontsize(style.TEXT)
    labels = ("class 1, its margin kept", "class 2, its margin kept", "neither")
    colors = [*style.PALETTE[:2], "white"]
    handles = [
        Patch(facecolor=color, alpha=0.55, edgecolor=style.INK, label=label)
        for color, label in zip(colors, labels, strict=True)
    ]
    _legend_below(figure, handles)
    return figure


def _region(axes: Axes, values, gap, color) -> None:
    """Fill the region where `gap` is above zero, and draw its zero line."""
    if gap.max() > 0:
        axes.contourf(
            values, values, gap, levels=[0, gap.max()], colors=[color], alpha=0.55
        )
    if gap.min() < 0 < gap.max():
        axes.contour(values, values, gap, levels=[0], colors=[style.INK], linewidths=1)


def target_logits(
    panels: Mapping[str, Mapping[str, Sequence]],
    degrees,
    variants: Sequence[str] = ("",),
    lowest: float = -3.0,
) -> Figure:
    """Draw the logit that replaces cos θ of the target, against θ in degrees `[A]`.

    `panels[title][name]` is a curve `[A]`, or several of one color, `[variants, A]`.
    Below `lowest` nothing is drawn.
    """
    figure = style.new_figure(4.5 * len(panels) + 0.4, 4.8)
    for i, (name, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        several = False
        for (label, group), color in zip(
            curves.items(), style.colors(len(curves)), strict=True
        ):
            group = np.atleast_2d(group)
            several |= len(group) > 1
            lines = LINES if len(group) > 1 else ("-",)
            for curve, line in zip(group, lines, strict=False):
                axes.plot(degrees, curve, color=color, linestyle=line, linewidth=1.5)
            axes.plot([], [], color=color, linewidth=1.5, label=style.literal(label))
        for variant, line in zip(variants, LINES, strict=False):
            if several:
                axes.plot(
                    [],
                    [],
                    color=style.INK,
                    linestyle=line,
                    label=style.literal(variant),
                )
        style.tidy(axes, "θ, degrees", "φ(θ)" if i == 0 else "", name)
        reach = min((np.min(group) for group in curves.values()), default=-1)
        bottom = max(lowest, reach - 0.1)
        axes.set(xlim=(0, 180), ylim=(bottom, 1.15), xticks=np.arange(0, 181, 30))
        axes.legend(
            fontsize=style.SMALL,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.14),
            ncols=2,
            frameon=False,
        )
    return figure


def pair_regions(
    losses: Mapping[str, np.ndarray],
    regions: Mapping[str, np.ndarray],
    limits: Limits,
    points: Mapping[str, Sequence[float]],
    regions_title: str = "",
) -> Figure:
    """Draw the cost of another example by its position around an anchor in the plane.

    `losses[name] [size, size]` are drawn as heat maps, a panel each; `regions[name]`
    `[size, size]` are masks and share the last panel, with the `points` of it named.
    Arrays are at `plots.grid_points` of `limits`; the anchor is the origin.
    """
    (x0, x1), (y0, y1) = limits
    figure = style.new_figure(3.2 * (len(losses) + 1) + 0.6, 3.5)
    cells = figure.subplots(1, len(losses) + 1, squeeze=False)[0]
    size = len(next(iter(regions.values())))
    sides = [
        low + (np.arange(size) + 0.5) * (high - low) / size for low, high in limits
    ]
    for cell, (name, values) in zip(cells, losses.items(), strict=False):
        heat = cell.contourf(*sides, values, levels=LEVELS, cmap=HEAT)
        # The line where the cost begins.
        cell.contour(*sides, values > 0, levels=[0.5], colors="white", linewidths=0.8)
        _point(cell, "anchor", (0.0, 0.0), "white")
        bar = figure.colorbar(heat, ax=cell, shrink=0.75)
        bar.set_label("loss", fontsize=style.TEXT)
        bar.ax.tick_params(labelsize=style.SMALL)
        bar.outline.set_visible(False)
        style.tidy(cell, title=name)
    handles = []
    for (name, mask), color in zip(regions.items(), GRADES, strict=False):
        if mask.any():
            cells[-1].contourf(*sides, mask, levels=[0.5, 1], colors=[color], alpha=0.5)
        handles.append(Patch(facecolor=color, alpha=0.5, label=style.literal(name)))
    for name, place in points.items():
        _point(cells[-1], name, place, style.INK)
    style.tidy(cells[-1], title=regions_title)
    for cell in cells:
        cell.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
        cell.set_xlabel("embedding dimension 1", fontsize=style.TEXT)
        cell.grid(visible=False)
    cells[0].set_ylabel("embedding dimension 2", fontsize=style.TEXT)
    _legend_below(figure, handles)
    return figure


def _point(axes: Axes, name: str, place, color) -> None:
    """Draw a point with its name above it."""
    axes.plot(*place, color=color, marker="o", markersize=4)
    axes.annotate(
        style.literal(name),
        place,
        xytext=(0, 5),
        textcoords="offset points",
        fontsize=style.SMALL,
        color=color,
        ha="center",
    )


def _legend_below(figure: Figure, handles) -> None:
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        fontsize=style.TEXT,
        frameon=False,
    )
