"""Encoders by name: `make_net("cnn", 64)` is a Flax module images -> embeddings."""

import dataclasses
from functools import partial

import jax.numpy as jnp

from nfml_jax.nets.conditioners import MLP, Conditioner, ResidualNet
from nfml_jax.nets.encoders import CNN, Encoder, LeNetPP, MLPEncoder, ResNet18
from nfml_jax.nets.layers import STANDARDIZATIONS
from nfml_jax.nets.lipschitz import LipschitzMLP
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
    "LipschitzMLP",
    "MLPEncoder",
    "ResMADE",
    "ResNet18",
    "ResidualNet",
    "make_net",
]

# By the type of an option's default, which its values have, too.
CHECKS = {
    bool: check_flag,
    int: partial(check_integer, low=1, high=WIDEST),
    str: partial(check_text, empty=False),
    tuple: check_sizes,
}
# What is closer than the type, by the option's name.
CLOSER = {
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
    """The encoder `name` of `NETS`: images [B, H, W, C] -> [B, embedding_size].

    `dtype` is the precision of the arithmetic (parameters and embeddings stay
    float32), `axis_name` the device axis over which batch norm averages, `options`
    the encoder's own fields. Raises `UserError` for anything that does not exist.
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
        check = CLOSER.get(option) or CHECKS[type(own[option].default)]
        check("encoder", **{option: value})
    check_integer(
        "encoder",
        0,
        embedding_size - 1,
        hint=", because the network gives the rest of the embedding",
        linear=options.get("linear", 0),
    )
    return net(
        embedding_size=embedding_size,
        dtype=look_up(DTYPES, dtype, "precision"),
        axis_name=axis_name,
        **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()},
    )
