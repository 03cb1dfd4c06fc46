"""Encoders of images by name, and conditioners of bijectors.

`make_net("cnn", 64)` is a Flax module that maps images to embeddings. Conditioners of
images are in `nfml_jax.nets.images`.
"""

import dataclasses
from functools import partial

import jax.numpy as jnp

from nfml_jax.nets.conditioners import MLP, Conditioner, ResidualNet
from nfml_jax.nets.encoders import CNN, Encoder, LeNetPP, MLPEncoder, ResNet18
from nfml_jax.nets.layers import STANDARDIZATIONS
from nfml_jax.nets.lipschitz import LipschitzMLP
from nfml_jax.nets.lipschitz_images import LipschitzConv
from nfml_jax.nets.made import MADE, ResMADE
from nfml_jax.ops.checks import (
    WIDEST,
    check_choice,
    check_flag,
    check_integer,
    check_sizes,
    check_text,
)
from nfml_jax.ops.names import look_up

NETS = {"cnn": CNN, "lenetpp": LeNetPP, "mlp": MLPEncoder, "resnet18": ResNet18}

__all__ = [
    "CNN",
    "MADE",
    "MLP",
    "NETS",
    "Conditioner",
    "Encoder",
    "LeNetPP",
    "LipschitzConv",
    "LipschitzMLP",
    "MLPEncoder",
    "ResMADE",
    "ResNet18",
    "ResidualNet",
    "make_net",
]

# The check of an option, by the type of its default.
CHECKS = {
    bool: check_flag,
    int: partial(check_integer, low=1, high=WIDEST),
    str: partial(check_text, empty=False),
    tuple: check_sizes,
}
# The checks of options for which the type is not enough.
CHECKS_BY_NAME = {
    "features": partial(check_sizes, least=1),
    "blocks": partial(check_sizes, low=1, high=1000, least=1),
    "linear": partial(check_integer, low=0, high=WIDEST),
    "standardize": partial(check_choice, choices=STANDARDIZATIONS),
}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def make_net(
    name: str,
    embedding_size: int,
    *,
    dtype: str = "float32",
    axis_name: str | None = None,
    **options,
) -> Encoder:
    """Return an encoder of images `[B, H, W, C]` to embeddings `[B, embedding_size]`.

    Args:
      name: A name of `NETS`.
      embedding_size: The number of coordinates of an embedding, at least 2.
      dtype: The precision of the arithmetic, "float32" or "bfloat16". Parameters and
        embeddings are float32 in any case.
      axis_name: The device axis over which batch norm averages, or None.
      **options: The fields of that encoder.

    Raises:
      UserError: A name is unknown, or a value is invalid.
    """
    net = look_up(NETS, name, "encoder")
    check_integer(
        "encoder",
        2,
        WIDEST,
        hint=", because angles between embeddings need 2 dimensions",
        embedding_size=embedding_size,
    )
    shared = {"embedding_size", "dtype", "axis_name", "parent", "name"}
    own = {f.name: f for f in dataclasses.fields(net) if f.name not in shared}
    for option in options:
        look_up(own, option, f"option of encoder {name!r}:")
    for option, value in options.items():
        check = CHECKS_BY_NAME.get(option) or CHECKS[type(own[option].default)]
        check("encoder", **{option: value})
    check_integer(
        "encoder",
        0,
        embedding_size - 1,
        hint=", because the network computes the rest of the embedding",
        linear=options.get("linear", 0),
    )
    return net(
        embedding_size=embedding_size,
        dtype=look_up(DTYPES, dtype, "precision"),
        axis_name=axis_name,
        **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()},
    )
