"""Embeddings in two and three dimensions, with the class weights as rays.

After the figures of Liu et al. (SphereFace, CVPR 2017) and of Wen et al. (center loss,
ECCV 2016).
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nfml_jax.ops.distances import unit
from nfml_jax.plots import style

MAX_POINTS = 10_000
MAX_LEGEND = 20
"""With more classes a legend would outgrow the figure; the rays' labels remain."""
MAX_LABEL = 11
"""Characters of a name at its ray, so that it stays beside it; the legend has all."""

_ORIGIN = {"marker": "+", "markersize": 9, "markeredgewidth": 1.5}
_HALO = (patheffects.withStroke(linewidth=4, foreground="white"),)


def _sample(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return at most MAX_POINTS examples, always the same, in mixed order.

    The order is mixed, because points drawn class by class would hide the first
    classes.
    """
    embeddings, labels = np.asarray(embeddings), np.asarray(labels)
    chosen = np.random.default_rng(0).permutation(len(labels))[:MAX_POINTS]
    return embeddings[chosen], labels[chosen]


def _point_size(n: int) -> float:
    """Return the size of points in points²; it falls with their number."""
    return float(np.clip(6000 / max(n, 1), 2, 24))


def _num_classes(labels, weights, names) -> int:
    counts = [0 if x is None else len(x) for x in (weights, names)]
    return max(*counts, int(np.max(labels, initial=-1)) + 1)


def _legend(figure: Figure, names: Sequence[str], colors: np.ndarray) -> None:
    if len(names) > MAX_LEGEND:
        return
    handles = [
        Line2D([], [], color=color, label=name, marker="o", markersize=5, linestyle="")
        for name, color in zip(names, colors, strict=True)
    ]
    figure.legend(
        handles=handles, loc="outside right center", fontsize=style.TEXT, frameon=False
    )


def _rays(axes: Any, ends: np.ndarray, names: Sequence[str], colors) -> None:
    """Draw a ray from the origin to each of `ends` `[C, 2 or 3]`, named at its end."""
    few = len(names) <= MAX_LEGEND
    for name, end, color in zip(names, ends, colors, strict=True):
        line = np.outer(end, [0, 1])
        axes.plot(*line, color=color, linewidth=1.2 if few else 0.5, zorder=3)
        axes.text(
            *(1.09 * end),
            name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…",
            color=color,
            fontsize=style.TEXT if few else 6,
            fontweight="bold",
            ha="center",
            va="center",
            path_effects=_HALO,
            zorder=4,
        )


def _draw_2d(axes: Axes, embeddings, labels, weights, names, colors) -> None:
    x, y = _sample(embeddings, labels)
    axes.scatter(
        x[:, 0], x[:, 1], c=colors[y], s=_point_size(len(x)), alpha=0.5, linewidths=0
    )
    # Nearly all points lie within; a single outlier doesn't shrink the rest.
    radius = np.quantile(np.linalg.norm(x, axis=1), 0.999) if len(x) else 0
    radius = float(radius) or 1.0
    if weights is not None:
        _rays(axes, 1.08 * radius * unit(np.asarray(weights)), names, colors)
    axes.plot(0, 0, color=style.INK, zorder=5, **_ORIGIN)
    limit = (1.35 if weights is not None else 1.05) * radius
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")


def embeddings_2d(
    embeddings,
    labels,
    weights=None,
    class_names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw embeddings `[N, 2]` colored by labels `[N]`, class weights `[C, 2]` as rays.

    The rays show directions only, and are equally long: with a normalized head the
    weights' lengths have no meaning. Of more than 10,000 points a fixed sample is
    drawn.
    """
    n = _num_classes(labels, weights, class_names)
    names, colors = style.class_names(class_names, n), style.colors(n)
    figure = style.new_figure(6.4, 5.6)
    axes = figure.add_subplot()
    _draw_2d(axes, embeddings, labels, weights, names, colors)
    style.tidy(axes, "embedding dimension 1", "embedding dimension 2", title)
    _legend(figure, names, colors)
    return figure


def embeddings_3d(
    embeddings,
    labels,
    weights=None,
    class_names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw embeddings `[N, 3]` on the unit sphere, class weights `[C, 3]` as rays."""
    n = _num_classes(labels, weights, class_names)
    names, colors = style.class_names(class_names, n), style.colors(n)
    figure = style.new_figure(6.4, 5.6)
    axes = cast(Any, figure.add_subplot(projection="3d", computed_zorder=False))
    longitude, latitude = np.meshgrid(
        np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13)
    )
    axes.plot_wireframe(
        np.cos(longitude) * np.sin(latitude),
        np.sin(longitude) * np.sin(latitude),
        np.cos(latitude),
        color=style.FAINT,
        linewidth=0.4,
        zorder=1,
    )
    x, y = _sample(embeddings, labels)
    x = unit(x)
    axes.scatter(
        *x.T,
        c=colors[y],
        s=_point_size(len(x)),
        alpha=0.6,
        linewidths=0,
        depthshade=False,
        zorder=2,
    )
    if weights is not None:
        _rays(axes, 1.2 * unit(np.asarray(weights)), names, colors)
    axes.plot([0], [0], [0], color=style.INK, zorder=5, **_ORIGIN)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axes.set_box_aspect((1, 1, 1), zoom=1.1)
    axes.set_axis_off()
    axes.set_title(style.literal(title), fontsize=style.TITLE, color=style.INK)
    _legend(figure, names, colors)
    return figure


def embedding_gallery(
    panels: Sequence[tuple],
    class_names: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw a panel of 2-D embeddings for each (name, embeddings, labels, weights).

    `weights` may be None. All panels share one legend; each has its own scale.
    """
    n = max(_num_classes(y, w, class_names) for _, _, y, w in panels)
    names, colors = style.class_names(class_names, n), style.colors(n)
    rows = -(-len(panels) // 4)
    columns = -(-len(panels) // rows)
    figure = style.new_figure(2.9 * columns + 1, 3.1 * rows + 0.3, title)
    for i, (name, embeddings, labels, weights) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_2d(axes, embeddings, labels, weights, names, colors)
        style.tidy(axes, title=name)
    _legend(figure, names, colors)
    return figure
