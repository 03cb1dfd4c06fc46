"""Figures from arrays: functions that return a matplotlib `Figure`, and no state.

Only matplotlib's object interface is used, so nothing here touches pyplot, a display
or the global settings, and figures can be drawn from any thread.
"""

from nfml_jax.plots.curves import learning_curves, roc_curve
from nfml_jax.plots.embeddings import embedding_gallery, embeddings_2d, embeddings_3d
from nfml_jax.plots.grids import confusion_matrix
from nfml_jax.plots.histograms import angle_histograms, pair_histograms
from nfml_jax.plots.style import save, to_rgb

__all__ = [
    "angle_histograms",
    "confusion_matrix",
    "embedding_gallery",
    "embeddings_2d",
    "embeddings_3d",
    "learning_curves",
    "pair_histograms",
    "roc_curve",
    "save",
    "to_rgb",
]
