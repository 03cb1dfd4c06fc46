"""Trained models, restored from their run directories.

`load(run)` restores a checkpoint and passes it to the loader that the run names.
Loaders are the short names of `LOADERS`: a run directory is data, and loading one never
imports or calls what it names. A model's `save_pretrained` writes a folder to share.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "embedders": ["TrainedClassifier", "TrainedEmbedder"],
        "flows": ["TrainedFlow"],
        "hub": ["from_hub", "push_to_hub"],
        "loaders": ["LOADERS", "find_loader"],
        "metrics": ["TrainedMetric"],
        "pixels": ["TrainedPixelFlow"],
        "run": ["config_of", "data_of", "load", "load_embedder", "load_pixel_flow"],
        "settings": [
            "EncoderSettings",
            "FlowSettings",
            "HeadSettings",
            "LossSettings",
            "ObjectiveSettings",
        ],
    },
)
