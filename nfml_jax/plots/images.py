"""Images side by side."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from nfml_jax.plots import style

# Inches of a tile's side.
SIDE = 0.42
# Inches of a letter of a title, rather too many.
LETTER = 0.085

# The color of pixels that are NaN: a red.
LOST = to_rgb(style.PALETTE[3])


def image_grids(grids: Mapping[str, np.ndarray], top: int) -> Figure:
    """Draw grids of images, each under its title.

    Args:
      grids: Images `[N, H, W, C]` of levels 0, ..., `top` by title, with one or three
        channels. Each grid is as square as possible.
      top: The level that is drawn white. NaN is drawn red.
    """
    tiled = {title: tile(np.asarray(images)) for title, images in grids.items()}
    sizes = [math.ceil(math.sqrt(max(len(images), 1))) for images in grids.values()]
    widths = [
        max(size * SIDE, len(title) * LETTER)
        for size, title in zip(sizes, tiled, strict=True)
    ]
    figure = style.new_figure(sum(widths) + 0.4, max(sizes) * SIDE + 0.6)
    all_axes = figure.subplots(1, len(tiled), squeeze=False, width_ratios=widths)[0]
    for axes, (title, picture) in zip(all_axes, tiled.items(), strict=True):
        rgb = np.broadcast_to(picture / top, (*picture.shape[:2], 3)).clip(0, 1)
        lost = np.isnan(rgb).any(axis=-1, keepdims=True)
        axes.imshow(np.where(lost, LOST, rgb), interpolation="nearest")
        axes.set_title(style.literal(title), fontsize=style.TEXT)
        axes.set_axis_off()
    return figure


def tile(images: np.ndarray) -> np.ndarray:
    """Return images `[N, H, W, C]` as one `[h·H, w·W, C]`, row by row.

    Places without an image are zero.

    >>> tile(np.ones((3, 2, 2, 1))).shape
    (4, 4, 1)
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(max(count, 1)))
    rows = max(-(-count // columns), 1)
    blank = np.zeros((rows * columns, height, width, channels), images.dtype)
    blank[:count] = images
    grid = blank.reshape(rows, columns, height, width, channels)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, -1)
