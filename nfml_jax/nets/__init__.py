"""Encoders by name: `make_net("cnn", 64)` is a Flax module images -> embeddings."""

import dataclasses

import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.names import look_up
from nfml_jax.nets.encoders import CNN, MLP, Encoder, LeNetPP, ResNet18

NETS = {"cnn": CNN, "lenetpp": LeNetPP, "mlp": MLP, "resnet18": ResNet18}

__all__ = ["CNN", "MLP", "NETS", "Encoder", "LeNetPP", "ResNet18", "make_net"]

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
    if isinstance(embedding_size, bool) or not isinstance(embedding_size, int):
        raise UserError(
            f"The embedding size is {embedding_size!r}; give a whole number, 2 or more."
        )
    if embedding_size < 2:
        raise UserError(
            f"The embedding size is {embedding_size}; angles between embeddings need "
            "2 or more dimensions."
        )
    shared = {"embedding_size", "dtype", "axis_name", "parent", "name"}
    own = {f.name: f for f in dataclasses.fields(net) if f.name not in shared}
    for option in options:
        look_up(own, option, f"option of encoder {name!r}:")
    return net(
        embedding_size=embedding_size,
        dtype=look_up(DTYPES, dtype, "precision"),
        axis_name=axis_name,
        **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()},
    )
