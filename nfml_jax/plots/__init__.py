"""Figures from arrays: functions that return a matplotlib `Figure`, without state.

Only matplotlib's object interface is used, so nothing here touches pyplot, a display or
the global settings, and figures can be drawn from any thread. Matplotlib is imported
when the first figure is drawn, since a run trains before it draws.
"""

from nfml_jax.ops.lazy import lazy_exports

_MODULES = {
    "animation": ("layer_frames", "save_animation"),
    "bits": ("bits_by_part", "bits_histogram", "log_det_use"),
    "calibration": ("reliability_diagram",),
    "columns": ("marginals",),
    "curves": ("learning_curves", "roc_curve"),
    "densities": (
        "Limits",
        "density_gallery",
        "density_map",
        "grid_points",
        "joint",
        "limits_around",
        "samples_2d",
    ),
    "embeddings": ("embedding_gallery", "embeddings_2d", "embeddings_3d"),
    "geometry": (
        "decision_regions",
        "metric_balls",
        "pair_regions",
        "target_logits",
    ),
    "grids": ("confusion_matrix",),
    "histograms": ("angle_histograms", "pair_histograms"),
    "images": ("image_grids", "image_rows", "tile"),
    "rates": ("cmc_curve", "det_curve", "open_set_curve"),
    "style": ("save", "to_rgb"),
}
__getattr__, __all__ = lazy_exports(__name__, _MODULES)
