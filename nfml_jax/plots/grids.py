"""The confusion matrix, as a grid of cells."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from nfml_jax.plots import style

MAX_CELL_TEXT = 20
"""The largest number of classes whose cells show counts and whose axes show names."""


def confusion_matrix(
    matrix, class_names: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Draw counts `[C, C]` (row = true, column = predicted), colored by share.

    Shares are those of the rows. The color grows with
    the square root of the share, so that rare confusions show.
    """
    matrix = np.asarray(matrix)
    n = len(matrix)
    names = style.class_names(class_names, n)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    small = n <= MAX_CELL_TEXT
    side = max(4.2, 0.48 * n) if small else 6.4
    figure = style.new_figure(side + 1.6, side + 0.6)
    axes = figure.add_subplot()
    image = axes.imshow(
        share, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest"
    )
    style.tidy(axes, "predicted class", "true class", title)
    axes.grid(visible=False)
    shown = np.arange(0, n, 1 if small else -(-n // MAX_CELL_TEXT))
    shown_names = [names[i] for i in shown]
    tilt = 60 if max(map(len, shown_names)) > 3 else 0
    axes.set_xticks(
        shown,
        shown_names,
        rotation=tilt,
        ha="right" if tilt else "center",
        rotation_mode="anchor" if tilt else "default",
    )
    axes.set_yticks(shown, shown_names)
    if small:
        for (i, j), count in np.ndenumerate(matrix):
            if count:
                axes.text(
                    j,
                    i,
                    f"{count}",
                    ha="center",
                    va="center",
                    fontsize=style.SMALL if matrix.max() < 10_000 else 6,
                    color="white" if share[i, j] > 0.35 else style.INK,
                )
    bar = figure.colorbar(image, shrink=0.8, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0", "1 %", "10 %", "25 %", "50 %", "100 %"])
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.set_label("share of the true class", fontsize=style.TEXT)
    bar.outline.set_visible(False)
    return figure
