"""Defaults of every run, and the effect of a config's argument on them."""

from ml_collections import ConfigDict

from configs.defaults.sections import as_config, give_types
from experiments.settings import SETTINGS
from nfml_jax.errors import UserError
from nfml_jax.training.settings import RunSettings


def training(name: str, experiment: str) -> ConfigDict:
    """Return the sections of every run: seed, devices, optimizer and schedule.

    `nfml_jax.training.settings` says what each field means.
    """
    return as_config(RunSettings(name=name, experiment=experiment))


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
            if config.data.get("image_size") is not None:
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
            lengths = "steps", "layers", "blocks"
            length = next(name for name in lengths if name in config.flow)
            scales = config.flow[length]
            if not isinstance(scales, tuple):
                config.flow[length] = 1
            else:  # a size for each scale
                for size, least in {length: 1, "hidden": 8, "blocks": 1}.items():
                    if isinstance(config.flow.get(size), tuple):
                        config.flow[size] = (least,) * len(scales)
        if "noise" in config and config.noise.steps:
            config.noise.steps = 1
        config.train.batch_size = 32
        config.train.total = "6 steps"
        config.train.log_every = "2 steps"
        config.train.evaluate_every = "3 steps"
        config.train.checkpoint_every = "3 steps"
        config.train.steps_per_dispatch = 3
        config.optimizer.warmup = "2 steps"
    give_types(config, SETTINGS[config.experiment])
    return config
