"""Densities of the plane and their samples, as heat maps and scatters."""

from collections.abc import Mapping
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nfml_jax.plots import style
from nfml_jax.plots.embeddings import MAX_POINTS

DATA, FLOW = style.PALETTE[:2]
HEAT = "magma"

Limits = tuple[tuple[float, float], tuple[float, float]]


def limits_around(*points, margin: float = 0.06) -> Limits:
    """Return the rectangle ((x₀, x₁), (y₀, y₁)) around nearly all points `[N, 2]`.

    Points that are not finite are ignored. A thousandth at either end is left out, so
    that an outlier does not shrink the rest.
    """
    points = np.concatenate([np.reshape(p, (-1, 2)) for p in points])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return (-1.0, 1.0), (-1.0, 1.0)
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    pad = margin * (high - low) + np.where(high > low, 0, 1)
    (x0, y0), (x1, y1) = (low - pad).tolist(), (high + pad).tolist()
    return (x0, x1), (y0, y1)


def grid_points(limits: Limits, size: int = 200) -> np.ndarray:
    """Return the centers `[size², 2]` of the cells of a rectangle, float32.

    Heat maps take a density at them, as `[size, size]`: row by row from the lowest y.
    """
    x, y = (low + (np.arange(size) + 0.5) * (high - low) / size for low, high in limits)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)


def samples_2d(samples, title: str = "", limits: Limits | None = None) -> Figure:
    """Draw points `[N, 2]` on equal axes, or a mapping of points with a panel each.

    Panels show equally many points. Here and below, at most the first 10,000 are drawn.
    """
    if not isinstance(samples, Mapping):
        samples, title = {title: samples}, ""
    limits = limits or limits_around(*samples.values())
    panels = dict(zip(samples, _equally_many(*samples.values()), strict=True))
    figure = style.new_figure(*_size(len(panels), limits), title)
    for i, (name, points) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        scatter(axes, points, style.PALETTE[i % len(style.PALETTE)])
        style.tidy(axes, title=name)
        _frame(axes, limits)
    return figure


def joint(data, samples, title: str = "") -> Figure:
    """Draw data and the flow's samples `[N, 2]`: each by itself, and both together."""
    limits = limits_around(data)
    data, samples = _equally_many(data, samples)
    figure = style.new_figure(*_size(3, limits), title)
    both = {"data": [(data, DATA)], "flow": [(samples, FLOW)]}
    both["data and flow"] = both["data"] + both["flow"]
    for i, (name, layers) in enumerate(both.items()):
        axes = figure.add_subplot(1, 3, i + 1)
        for points, color in layers:
            scatter(axes, points, color)
        style.tidy(axes, title=name)
        _frame(axes, limits)
    return figure


def density_map(log_probs, limits: Limits, points=None, title: str = "") -> Figure:
    """Draw a density as a heat map, from log-densities `[size, size]` at `grid_points`.

    `points [N, 2]` are drawn over it.
    """
    figure = style.new_figure(*_size(1, limits, bar=1.0))
    axes = figure.add_subplot()
    image = _heat(axes, log_probs, limits)
    if points is not None:
        points = np.asarray(points)[:1000]
        axes.scatter(*points.T, s=3, color="white", alpha=0.7, linewidths=0)
    style.tidy(axes, title=title)
    _frame(axes, limits)
    axes.grid(visible=False)
    cut = np.nanmax(cast(np.ndarray, image.get_array())) > image.get_clim()[1]
    bar = figure.colorbar(image, shrink=0.85, extend="max" if cut else "neither")
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.set_label("density", fontsize=style.TEXT)
    bar.outline.set_visible(False)
    return figure


def density_gallery(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    limits: Mapping[str, Limits],
    title: str = "",
    *,
    rows_share: bool = False,
    side: float = 1.3,
) -> Figure:
    """Draw heat maps in a grid; `panels[row][column]` is `[size, size]` log-densities.

    A column (with `rows_share`, a row) has its own `limits` and one color scale, that
    of its first panel: put the true density there. A missing panel stays empty. A panel
    is `side` inches wide.
    """
    columns = list(dict.fromkeys(name for row in panels.values() for name in row))
    tops = {}
    for name, row in panels.items():
        for column, values in row.items():
            tops.setdefault(name if rows_share else column, _top(np.exp(values)))
    width, height = side * len(columns) + 1.2, side * len(panels) + 0.6
    figure = style.new_figure(width, height, title)
    style.spaced(figure, w_pad=0.03, h_pad=0.03)
    axes = figure.subplots(len(panels), len(columns), squeeze=False)
    for i, (name, row) in enumerate(panels.items()):
        for j, column in enumerate(columns):
            cell = axes[i, j]
            if column in row:
                group = name if rows_share else column
                _heat(cell, row[column], limits[group], tops[group])
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
            if i == 0:
                cell.set_title(
                    style.literal(column), fontsize=style.SMALL, color=style.INK
                )
            if j == 0:
                cell.set_ylabel(
                    style.literal(name),
                    fontsize=style.SMALL,
                    rotation=0,
                    ha="right",
                    va="center",
                )
    return figure


def _equally_many(*samples):
    """Return the first points of each set, as many as the smallest set has."""
    few = min((len(points) for points in samples if len(points)), default=0)
    return [np.asarray(points)[:few] for points in samples]


def scatter(axes: Axes, points, color) -> None:
    """Draw at most 10,000 points `[N, 2]`, smaller where there are many."""
    points = np.asarray(points)[:MAX_POINTS]
    size = float(np.clip(6000 / max(len(points), 1), 1, 16))
    axes.scatter(*points.T, s=size, color=color, alpha=0.5, linewidths=0)


def _proportion(limits) -> float:
    """Return height over width of a panel; beyond 2.5 the axes are no longer equal."""
    (x0, x1), (y0, y1) = limits
    return float(np.clip((y1 - y0) / (x1 - x0), 0.4, 2.5))


def _size(columns, limits, bar=0.0) -> tuple[float, float]:
    """Return the inches of a row of panels, in steps that are integer pixels."""
    side = 4.6 if columns == 1 else 3.4
    height = side * _proportion(limits) + 0.8
    return columns * side + bar + 0.4, round(20 * height) / 20


def _frame(axes: Axes, limits) -> None:
    (x0, x1), (y0, y1) = limits
    equal = np.isclose(_proportion(limits), (y1 - y0) / (x1 - x0))
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal" if equal else "auto")


def _heat(axes: Axes, log_probs, limits, top=None):
    (x0, x1), (y0, y1) = limits
    density = np.exp(np.asarray(log_probs, np.float64))
    return axes.imshow(
        density,
        extent=(x0, x1, y0, y1),
        origin="lower",
        cmap=HEAT,
        vmin=0,
        vmax=_top(density) if top is None else top,
        aspect="auto",
    )


def _top(density) -> float:
    """Return the density that only the densest hundredth of the mass exceeds.

    It ends the color scale, so that a few bright points darken nothing.
    """
    values = np.sort(np.ravel(density))
    values = values[np.isfinite(values)]
    mass = np.cumsum(values)
    if not len(values) or not 0 < mass[-1] < np.inf:
        return 1.0
    return float(values[np.searchsorted(mass, 0.99 * mass[-1])])
