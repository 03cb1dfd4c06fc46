"""Images side by side."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from nfml_jax.plots import style

# Inches of a tile's side.
SIDE = 0.42
# The size of an image in a row, to that in a grid.
ROW_SCALE = 1.4
# Inches of a letter of a title, rather too many.
LETTER = 0.085

# The color of pixels that are NaN: a red.
LOST = to_rgb(style.PALETTE[3])


def image_grids(
    grids: Mapping[str, np.ndarray], top: int, columns: int | None = None
) -> Figure:
    """Draw grids of images, each under its title.

    Args:
      grids: Images `[N, H, W, C]` of levels 0, ..., `top` by title, with one or three
        channels.
      top: The level that is drawn white. NaN is drawn red.
      columns: The images in a row; None makes each grid as square as possible.
    """
    tiled = {t: tile(np.asarray(images), columns) for t, images in grids.items()}
    sizes = [_columns(len(images), columns) for images in grids.values()]
    rows = [-(-len(x) // n) for x, n in zip(grids.values(), sizes, strict=True)]
    widths = [
        max(size * SIDE, len(title) * LETTER)
        for size, title in zip(sizes, tiled, strict=True)
    ]
    figure = style.new_figure(sum(widths) + 0.4, max(rows) * SIDE + 0.6)
    all_axes = figure.subplots(1, len(tiled), squeeze=False, width_ratios=widths)[0]
    for axes, (title, picture) in zip(all_axes, tiled.items(), strict=True):
        axes.imshow(image_tile(picture, top), interpolation="nearest")
        axes.set_title(style.literal(title), fontsize=style.TEXT)
        axes.set_axis_off()
    return figure


def image_rows(
    rows: Mapping[str, np.ndarray],
    top: int,
    title: str = "",
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draw rows of images, each beside its name.

    Args:
      rows: Images `[N, H, W, C]` of levels 0, ..., `top` by name, all of one shape.
      top: The level that is drawn white. NaN is drawn red.
      title: The title above all.
      captions: Texts below the images of a row, by its name.
    """
    captions = captions or {}
    images = {name: np.asarray(row) for name, row in rows.items()}
    count, height, width, _ = next(iter(images.values())).shape
    side = SIDE * ROW_SCALE * max(width, height) / width  # inches of an image's width
    gap = round(0.08 * height) or 1
    below = round(0.36 * height) + 1  # the room of a caption
    strips, centers, edge = [], {}, 0
    for name, row in images.items():
        strips.append(image_tile(np.concatenate([*row], axis=1), top))
        centers[name] = edge + (height - 1) / 2
        space = below if name in captions else gap
        strips.append(np.ones((space, count * width, 3)))
        edge += height + space
    picture = np.concatenate(strips[:-1] if name not in captions else strips)
    longest = max(max(map(len, line)) for name in rows for line in [name.split("\n")])
    inches = side / width
    wide = count * side + longest * LETTER + 0.5
    tall = len(picture) * inches + 0.5
    figure = style.new_figure(round(wide, 1), round(tall, 1))
    axes = figure.add_subplot()
    axes.imshow(picture, interpolation="nearest")
    for name, texts in captions.items():
        for place, text in enumerate(texts):
            axes.text(
                (place + 0.5) * width - 0.5,
                centers[name] + height / 2 + below / 2,
                style.literal(text),
                ha="center",
                va="center",
                fontsize=style.SMALL - 1,
                color=style.INK,
            )
    names = [style.literal(name) for name in centers]
    axes.set_yticks([*centers.values()], names, fontsize=style.TEXT)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(style.literal(title), fontsize=style.TITLE, color=style.INK)
    return figure


def image_tile(picture: np.ndarray, top: int) -> np.ndarray:
    """Return levels `[H, W, C]` as colors `[H, W, 3]` in [0, 1], with NaN in red."""
    rgb = np.broadcast_to(picture / top, (*picture.shape[:2], 3)).clip(0, 1)
    lost = np.isnan(rgb).any(axis=-1, keepdims=True)
    return np.where(lost, LOST, rgb)


def tile(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Return images `[N, H, W, C]` as one `[h·H, w·W, C]`, row by row.

    A row has `columns` of them; None is as square as possible. Places without an image
    are zero.

    >>> tile(np.ones((3, 2, 2, 1))).shape
    (4, 4, 1)
    """
    count, height, width, channels = images.shape
    columns = _columns(count, columns)
    rows = max(-(-count // columns), 1)
    blank = np.zeros((rows * columns, height, width, channels), images.dtype)
    blank[:count] = images
    grid = blank.reshape(rows, columns, height, width, channels)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, -1)


def _columns(count: int, columns: int | None) -> int:
    return math.ceil(math.sqrt(max(count, 1))) if columns is None else columns
