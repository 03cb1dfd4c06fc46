"""Figures of bits per dimension: by image, by scale, and what layers use of a limit."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from nfml_jax.plots import style
from nfml_jax.plots.images import image_tile

UNIT = "bits per dimension"
SHOWN = 8
"""The images at either end of a histogram."""


def bits_histogram(
    per_image,
    images,
    top: int,
    lines: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    """Draw the bits per dimension of images, and the images of the fewest and the most.

    Args:
      per_image: Bits per dimension `[N]`; values that aren't finite are left out and
        counted in the legend.
      images: The images `[N, H, W, C]` of levels 0, ..., `top`.
      top: The level that is drawn white.
      lines: Values to compare with, drawn as lines, by name.
      title: The title above all.
    """
    per_image = np.asarray(per_image, np.float64)
    finite = np.flatnonzero(np.isfinite(per_image))
    values = per_image[finite]
    figure = style.new_figure(9, 3.6, title)
    axes, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    mean = values.mean() if len(values) else np.nan
    if len(values):
        bins = min(60, max(10, len(values) // 5))
        axes.hist(values, bins=bins, color=style.PALETTE[0], alpha=0.75)
        axes.axvline(mean, color=style.INK, linewidth=1.4, label=f"mean {mean:.3f}")
    colors = style.colors(len(lines or {}) + 1)[1:]
    for (name, value), color in zip((lines or {}).items(), colors, strict=True):
        label = style.literal(f"{name} {value:.3f}")
        axes.axvline(value, color=color, linewidth=1.2, linestyle="--", label=label)
    lost = len(per_image) - len(values)
    if lost:
        axes.plot([], [], " ", label=f"{lost} not finite")
    style.tidy(axes, f"{UNIT} of an image", "images")
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(fontsize=style.SMALL, loc="best", framealpha=0.9)
    order = finite[np.argsort(values, kind="stable")]
    few = min(SHOWN, len(order) // 2)
    ends = {"fewest bits": order[:few], "most bits": order[len(order) - few :][::-1]}
    _ends(right, ends, np.asarray(images), per_image, top)
    return figure


def _ends(axes, ends, images, per_image, top) -> None:
    """Draw the images at either end, each above its bits."""
    _, height, width, _ = images.shape
    half = SHOWN // 2
    place = 0.0
    for name, rows in ends.items():
        axes.text(
            half / 2, place - 0.05, name, ha="center", va="bottom", fontsize=style.TEXT
        )
        for number, row in enumerate(rows):
            x, y = number % half, place + 1.4 * (number // half)
            axes.imshow(
                image_tile(images[row], top),
                extent=(x + 0.04, x + 0.96, y + height / width, y),
                interpolation="nearest",
            )
            axes.text(
                x + 0.5,
                y + height / width + 0.03,
                f"{per_image[row]:.2f}",
                ha="center",
                va="top",
                fontsize=style.SMALL - 1,
            )
        place += 1.4 * 2 * height / width + 0.55
    axes.set(xlim=(0, half), ylim=(place - 0.3, -0.45), aspect="equal")
    axes.set_axis_off()


def bits_by_part(parts: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """Draw how the bits per dimension of a flow add up, from part to part.

    Args:
      parts: The bits that each part adds, negative ones that it saves, by the name of
        a scale and the name of the part.
      title: The title above all.
    """
    rows = [(s, n, v) for s, named in parts.items() for n, v in named.items()]
    figure = style.new_figure(8, 0.32 * len(rows) + 1.5)
    axes = figure.add_subplot()
    colors = dict(zip(parts, style.colors(len(parts)), strict=True))
    start, ends = 0.0, []
    for place, (scale, _, value) in enumerate(rows):
        axes.barh(place, value, left=start, height=0.7, color=colors[scale])
        start += value
        ends.append(start)
        axes.annotate(
            f"{value:+.3f}",
            (start, place),
            xytext=(4 if value > 0 else -4, 0),
            textcoords="offset points",
            ha="left" if value > 0 else "right",
            va="center",
            fontsize=style.SMALL,
        )
    axes.axvline(start, color=style.INK, linewidth=1.2, linestyle="--")
    axes.text(start, -0.85, f"  sum {start:.3f}", va="center", fontsize=style.SMALL)
    style.tidy(axes, UNIT, "", title)
    names = [style.literal(f"{scale}: {name}") for scale, name, _ in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -1.2)
    low, high = min(0.0, *ends), max(0.0, *ends)
    width = high - low or 1.0
    axes.set_xlim(low - 0.12 * width, high + 0.14 * width)
    return figure


def log_det_use(
    names: Sequence[str], used, title: str = "", groups: Sequence[str] | None = None
) -> Figure:
    """Draw the share of the largest possible log-determinant that each layer uses.

    Args:
      names: The layers in order, from the data to the base.
      used: Shares in [0, 1] `[layers, N]` for N events.
      title: The title above all.
      groups: The scale of each layer, which gives its color.
    """
    used = np.asarray(used, np.float64).reshape(len(names), -1)
    groups = [""] * len(names) if groups is None else groups
    kinds = list(dict.fromkeys(groups))
    colors = dict(zip(kinds, style.colors(len(kinds)), strict=True))
    figure = style.new_figure(8, 3.8)
    axes = figure.add_subplot()
    places = np.arange(len(names))
    low, middle, high = np.nanquantile(used, [0.05, 0.5, 0.95], axis=1)
    for kind in kinds:
        own = np.array([g == kind for g in groups])
        axes.bar(
            places[own],
            100 * middle[own],
            color=colors[kind],
            label=style.literal(kind) or None,
        )
    axes.vlines(places, 100 * low, 100 * high, color=style.INK, linewidth=1.2)
    style.tidy(axes, "", "used (% of the limit)", title)
    axes.set_xticks(places, [style.literal(n) for n in names], rotation=60, ha="right")
    axes.set_ylim(0, min(100, max(5, 115 * np.nanmax(high, initial=0))))
    if any(kinds):
        axes.legend(fontsize=style.SMALL, loc="upper left", framealpha=0.9)
    return figure
