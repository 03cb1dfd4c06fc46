"""The reliability diagram of a classifier."""

import numpy as np
from matplotlib.figure import Figure

from nfml_jax.evaluation.classification import Reliability
from nfml_jax.plots import style


def reliability_diagram(found: Reliability, title: str = "") -> Figure:
    """Draw the accuracy of predictions over their confidence, and their shares.

    On the diagonal predictions are right as often as they claim. The gaps to it,
    weighted by the shares below, are the expected calibration error (Guo et al. 2017).
    """
    counts, confidence, accuracy = found
    share = counts / max(counts.sum(), 1)
    error = np.nansum(share * np.abs(accuracy - confidence))
    edges = np.linspace(0, 1, len(counts) + 1)
    center, width = (edges[:-1] + edges[1:]) / 2, 0.92 / len(counts)
    figure = style.new_figure(5, 5.4)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    blue, red = style.PALETTE[0], style.PALETTE[3]
    upper.plot([0, 1], [0, 1], color=style.INK, linewidth=1, linestyle="--")
    upper.bar(center, np.nan_to_num(accuracy), width, color=blue, label="accuracy")
    upper.bar(
        center,
        np.nan_to_num(confidence - accuracy),
        width,
        bottom=np.nan_to_num(accuracy),
        color=red,
        alpha=0.3,
        label="gap to the confidence",
    )
    lower.bar(center, share, width, color=blue)
    style.tidy(upper, "", "accuracy", title)
    style.tidy(lower, "confidence (the largest probability)", "share")
    upper.set(xlim=(0, 1), ylim=(0, 1.02))
    lower.set(yscale="log", ylim=(0.5 / max(counts.sum(), 1), 1.5))
    upper.legend(
        title=f"calibration error {error:.2%}",
        fontsize=style.TEXT,
        title_fontsize=style.TEXT,
        frameon=False,
        loc="upper left",
    )
    return figure
