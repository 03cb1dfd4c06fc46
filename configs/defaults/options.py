"""Options of heads, losses, encoders and sets of images as fields of a config.

A field must exist in a config to be set on the command line. These functions write out
what a head, loss, encoder or set of images takes, with its defaults.
"""

import dataclasses
import inspect

from ml_collections import ConfigDict

PLAIN = bool, int, float, str, tuple


def show_options(config: ConfigDict, warmup_steps: int = 0) -> None:
    """Add all options of a config's head or loss, where they are not set already.

    A head with a margin warms it up for `warmup_steps`, unless it anneals the margin.
    """
    # Imported only if a name decides, since they import JAX.
    from nfml_jax.heads import MARGINS
    from nfml_jax.losses import LOSSES, PairLoss

    if "head" in config:
        kind = MARGINS[config.head.name]
        options = _of_head(kind) | config.head.to_dict()
        if kind.numbers():
            options["warmup_steps"] = 0 if "annealing" in options else warmup_steps
        config.head = options
        return
    kind = LOSSES[config.objective.name]
    options = _fields(kind)
    if issubclass(kind, PairLoss):
        options |= {"miner": kind.miner, "memory": 0, "memory_start": 0}
    config.objective = options | config.objective.to_dict()


def encoder_options(name: str, embedding_size: int, **changes) -> dict:
    """Return the config section of encoder `name` with all its options."""
    from nfml_jax.nets import NETS

    own = {"name": name, "embedding_size": embedding_size, "dtype": "float32"}
    return own | _fields(NETS[name]) | changes


def show_pixels(config: ConfigDict, name: str) -> None:
    """Set the set of images of a config, and add all options of its own.

    An option whose default stands for none, such as an empty text, is None.
    """
    from nfml_jax.data.pixels import PIXEL_DATASETS

    config.data.name = name
    for option, given in inspect.signature(PIXEL_DATASETS[name]).parameters.items():
        if option not in config.data and given.default is not given.empty:
            config.data[option] = given.default or None


def _of_head(kind) -> dict:
    """Return the options of a margin: its numbers under "margin", and its scale."""
    options, numbers = _fields(kind), kind.numbers()
    if numbers:
        values = tuple(options.pop(number) for number in numbers)
        options["margin"] = values if len(values) > 1 else values[0]
    # A head that computes its scale, from the classes or during training, has no
    # option.
    own = {field.name for field in dataclasses.fields(kind)}
    if kind.default_scale is not None and "scale" not in own:
        options["scale"] = float(kind.default_scale)
    return options


def _fields(kind) -> dict:
    """Return the fields of a dataclass that a command line can set, with defaults."""
    hidden = {"parent", "name", "axis_name", "dtype", "embedding_size"}
    return {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.name not in hidden and isinstance(field.default, PLAIN)
    }
