"""What every objective gives for a batch."""

import flax
import jax


@flax.struct.dataclass
class LossOutput:
    """`loss` [] float32, this device's share of the mean over the global batch, so that
    `pmean` over devices is that mean; `logged`, scalars worth watching."""

    loss: jax.Array
    logged: dict[str, jax.Array]
