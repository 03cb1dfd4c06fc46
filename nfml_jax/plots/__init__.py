"""Figures from arrays: functions that return a matplotlib `Figure`, and no state.

Only matplotlib's object interface is used, so nothing here touches pyplot, a display
or the global settings, and figures can be drawn from any thread.
"""

from nfml_jax.plots.animation import layer_frames, save_animation
from nfml_jax.plots.curves import learning_curves, roc_curve
from nfml_jax.plots.densities import (
    density_gallery,
    density_map,
    grid_points,
    joint,
    limits_around,
    marginals,
    samples_2d,
)
from nfml_jax.plots.embeddings import embedding_gallery, embeddings_2d, embeddings_3d
from nfml_jax.plots.geometry import (
    decision_regions,
    metric_balls,
    pair_regions,
    target_logits,
)
from nfml_jax.plots.grids import confusion_matrix
from nfml_jax.plots.histograms import angle_histograms, pair_histograms
from nfml_jax.plots.rates import cmc_curve, det_curve, open_set_curve
from nfml_jax.plots.style import save, to_rgb

__all__ = [
    "angle_histograms",
    "cmc_curve",
    "confusion_matrix",
    "decision_regions",
    "density_gallery",
    "density_map",
    "det_curve",
    "embedding_gallery",
    "embeddings_2d",
    "embeddings_3d",
    "grid_points",
    "joint",
    "layer_frames",
    "learning_curves",
    "limits_around",
    "marginals",
    "metric_balls",
    "open_set_curve",
    "pair_histograms",
    "pair_regions",
    "roc_curve",
    "samples_2d",
    "save",
    "save_animation",
    "target_logits",
    "to_rgb",
]
