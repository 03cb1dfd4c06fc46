"""Defaults of every run, and the effect of a config's argument on them."""

from ml_collections import ConfigDict

from nfml_jax.errors import UserError


def training(name: str, experiment: str) -> ConfigDict:
    """Return the sections of every run: seed, devices, optimizer and schedule."""
    return ConfigDict(
        {
            "name": name,
            "experiment": experiment,
            "seed": 0,
            "platform": "auto",  # auto, cpu, gpu or tpu
            "num_devices": 0,  # 0: all there are
            "optimizer": {
                # A name of optax, such as adamw, nadam, muon or schedule_free_adamw,
                # or of nfml_jax.training.optimizers.OPTIMIZERS: adam, sgd, lamb, ...
                "name": "adam",
                # Its arguments: --config.optimizer.options.b2=0.99
                "options": {},
                "learning_rate": 1e-3,
                "schedule": "cosine",  # constant, cosine, linear or staircase
                "warmup": "100 steps",
                "weight_decay": 0.0,
                # Patterns of the ends or beginnings of parameters' paths: what decays.
                "decay": ("kernel*", "weights", "proxies", "triangles", "L"),
                "clip_norm": 0.0,  # 0: off
                # Of the learning rate, by such patterns, "head" or "objective/proxies".
                "multipliers": {"head": 1.0},
            },
            "train": {
                "batch_size": 128,
                # Steps, epochs or examples; small sets train longer than ten epochs.
                "total": "10 epochs, at least 600 steps",
                "log_every": "64 steps",
                "evaluate_every": "1 epoch, at least 192 steps",
                "checkpoint_every": "1 epoch, at least 192 steps",
                "steps_per_dispatch": 32,  # in one program, see benchmarks/README.md
                "accumulate": 1,  # parts of a device's share; 0: as suits its cache
                "average_decay": 0.0,  # of the parameters' moving average; 0: off
                "report": "last",  # evaluate the last or the best checkpoint
                "patience": "",  # stop if validation is no better for "30 epochs"
            },
        }
    )


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
        if "data" in config:
            config.data.max_train = 256
            config.data.max_test = 128
            if "image_size" in config.data:
                kind = type(config.data.image_size)  # a number, or text for two
                config.data.image_size = kind(16)
        if "encoder" in config and "blocks" in config.encoder:
            config.encoder.width, config.encoder.blocks = 8, (1,)
        if "encoder" in config and "features" in config.encoder:
            config.encoder.features = (8, 8)
        if "sampler" in config and config.sampler.per_class:
            config.sampler.per_class = min(config.sampler.per_class, 8)
        if "flow" in config:
            for name, size in config.report.items():
                config.report[name] = min(size, 100)
            config.flow.layers = 1
        config.train.batch_size = 32
        config.train.total = "6 steps"
        config.train.log_every = "2 steps"
        config.train.evaluate_every = "3 steps"
        config.train.checkpoint_every = "3 steps"
        config.train.steps_per_dispatch = 3
        config.optimizer.warmup = "2 steps"
    return config
