"""What a head returns, and what of it is worth watching."""

import flax.struct
import jax
import jax.numpy as jnp

from nfml_jax.heads.logits import Logits, Own
from nfml_jax.ops import angles


@flax.struct.dataclass
class HeadOutput:
    """What a head returns for a batch.

    `loss` [B] float32; `cosine` [B], the target cosine before the margin;
    `correct` [B], 1 where the margin-free logits' largest is the label; `logged`,
    scalars worth watching, all of them means over the batch: `scale`, `strength`,
    `target_angle` (degrees), `embedding_norm`, `weight_norm`, `ignored` (the
    share of labels out of range), what is added to the cross entropy (`penalty`), and
    the margin's statistics that are numbers.
    """

    loss: jax.Array
    cosine: jax.Array
    correct: jax.Array
    logged: dict[str, jax.Array]


def watched(logits: Logits, own: Own, valid, penalty, num_classes: int):
    """What `HeadOutput.logged` holds, from the rows [B], of which some are `valid`."""
    cosine = jnp.where(valid, own.cosine, 0.0)
    logged = {
        "scale": logits.scale,
        "strength": logits.strength,
        "target_angle": jnp.degrees(angles.angle(cosine)),
        "embedding_norm": own.norm,
        "weight_norm": own.weight_norm,
        "ignored": 1.0 - valid,
        "penalty": None if penalty is None else jnp.where(valid, penalty, 0.0),
    }
    for name in logits.margin.initial_statistics(num_classes):
        if jnp.ndim(value := getattr(logits.margin, name)) == 0:
            logged.setdefault(name, value)
    return {name: jnp.mean(v) for name, v in logged.items() if v is not None}
