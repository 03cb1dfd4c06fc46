"""What every objective gives for a batch."""

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class LossOutput:
    """The loss of a batch, and what is logged of it.

    `loss` [] float32 is this device's share of the mean over the global batch, so that
    `pmean` over devices is that mean. `logged` holds scalars by name.
    """

    loss: jax.Array
    logged: dict[str, jax.Array]


def output(loss: jax.Array, logged: dict[str, jax.Array]) -> LossOutput:
    """Return the output of a loss [] and of what is logged, `watched` included.

    The loss is NaN where an embedding that takes part isn't finite: comparisons with
    NaN are false, so that masks would leave its pairs out in silence.
    """
    finite = jnp.isfinite(jax.lax.stop_gradient(logged["embedding_norm"]))
    return LossOutput(jnp.where(finite, loss, jnp.nan), jax.lax.stop_gradient(logged))
