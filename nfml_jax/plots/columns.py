"""Histograms of the columns of data and of samples."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from nfml_jax.plots import style
from nfml_jax.plots.densities import DATA, FLOW, HEAT

MAX_PANELS = 64
"""Columns whose marginals have a panel each."""


def marginals(
    data, samples=None, names: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Draw histograms of all columns of data `[N, D]`, and of a flow's samples.

    An axis spans nearly all data. Values beyond it are counted in the corner of the
    panel and not drawn. For more than 64 columns the histograms are the columns of two
    heat maps, one for data and one for samples.
    """
    data = np.asarray(data)
    groups = {"data": (data, DATA), "flow": (samples, FLOW)}
    groups = {name: g for name, g in groups.items() if g[0] is not None}
    if data.shape[1] > MAX_PANELS:
        return _marginal_maps({name: x for name, (x, _) in groups.items()}, title)
    count = data.shape[1]
    names = style.class_names(names, count)
    columns = min(count, 4 if count <= 16 else 8)
    rows = -(-count // columns)
    side = 3.0 if count <= 16 else 2.2
    height = round(20 * (0.77 * side * rows + 0.7)) / 20  # whole pixels
    figure = style.new_figure(max(side * columns, 4), height, title)
    for i in range(count):
        axes = figure.add_subplot(rows, columns, i + 1)
        edges = _edges(data[:, i])
        for k, (name, (values, color)) in enumerate(groups.items()):
            values = np.asarray(values)[:, i]
            heights, outside = _densities(values, edges)
            axes.stairs(heights, edges, label=name, **_bars(name, color))
            if outside:
                axes.text(
                    0.98,
                    0.97 - 0.12 * k,
                    f"{_percent(outside)} outside",
                    color=color,
                    fontsize=style.SMALL - 1,
                    ha="right",
                    va="top",
                    transform=axes.transAxes,
                )
        style.tidy(axes, names[i], "density" if i % columns == 0 else "")
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
    if len(groups) > 1:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=2,
            fontsize=style.TEXT,
            frameon=False,
        )
    return figure


def _edges(column) -> np.ndarray:
    """Return the edges of bins that span nearly all of a column."""
    low, high = np.quantile(column, [0.001, 0.999])
    pad = 0.02 * (high - low)
    if not pad > 0:
        return low + np.array([-1.0, 1.0])
    return np.linspace(low - pad, high + pad, 61)


def _densities(values, edges) -> tuple[np.ndarray, float]:
    """Return the density in each bin, and the fraction of values outside the bins."""
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    counts = np.histogram(inside, edges)[0]
    count = max(len(values), 1)
    return counts / count / np.diff(edges), 1 - len(inside) / count


def _percent(share: float) -> str:
    """Return a fraction above 0 as a percentage that is not rounded to 0."""
    return (
        f"{share:.0%}"
        if share >= 0.0095
        else f"{share:.1%}"
        if share >= 0.001
        else "<0.1%"
    )


def _marginal_maps(groups, title) -> Figure:
    """Draw the histograms of very many columns as heat maps with one axis of values."""
    data = groups["data"]
    edges = _edges(np.ravel(data))
    figure = style.new_figure(10, 2.7 * len(groups) + 0.7, title)
    for k, (name, values) in enumerate(groups.items()):
        found = [_densities(column, edges) for column in np.asarray(values).T]
        image = np.sqrt(np.stack([heights for heights, _ in found], axis=1))
        outside = float(np.mean([share for _, share in found]))
        axes = figure.add_subplot(len(groups), 1, k + 1)
        axes.imshow(
            image,
            extent=(-0.5, image.shape[1] - 0.5, edges[0], edges[-1]),
            origin="lower",
            aspect="auto",
            cmap=HEAT,
            interpolation="nearest",
        )
        beyond = f" ({_percent(outside)} outside)" if outside else ""
        label = "column" if k == len(groups) - 1 else ""
        style.tidy(axes, label, "value", f"{name}{beyond}")
        axes.grid(visible=False)
    return figure


def _bars(name, color):
    """Return the style of data, an area, or of the flow, a line over it."""
    if name == "data":
        return {"color": color, "alpha": 0.45, "fill": True}
    return {"color": color, "linewidth": 1.6}
