"""Learning rates as functions of the step, by name."""

from collections.abc import Callable

import jax
import optax

from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up

# Each maps (peak rate, steps) to a schedule of the steps after the warm-up.
SCHEDULES: dict[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda rate, steps: optax.constant_schedule(rate),
    "cosine": lambda rate, steps: optax.cosine_decay_schedule(rate, steps),
    "linear": lambda rate, steps: optax.linear_schedule(rate, 0.0, steps),
    # It falls by 1 % in each of 200 parts of the run, to 13 %.
    "exponential": lambda rate, steps: optax.exponential_decay(rate, steps, 0.99**200),
    # A tenth at one half and again at three quarters: the face papers' staircase.
    "staircase": lambda rate, steps: optax.piecewise_constant_schedule(
        rate, {steps // 2: 0.1, 3 * steps // 4: 0.1}
    ),
}


def make_schedule(
    name: str, learning_rate: float, *, steps: int, warmup_steps: int = 0
) -> optax.Schedule:
    """Return the learning rate as a function of the step.

    It is a linear warm-up, then the named decay to `steps`. The rate may be a traced
    scalar, as may `make_optimizer`'s b1, momentum, weight decay and clipping norm.
    """
    # An array can't be checked: it may be traced.
    if not isinstance(learning_rate, jax.Array) and not learning_rate > 0:
        raise UserError(
            f"optimizer.learning_rate = {learning_rate} must be a positive number."
        )
    if warmup_steps >= steps:
        raise UserError(
            f"optimizer.warmup is {warmup_steps} steps and the whole run {steps}; "
            "shorten the warm-up or lengthen train.total."
        )
    decay = look_up(SCHEDULES, name, "schedule")(learning_rate, steps - warmup_steps)
    if not warmup_steps:
        return decay
    # The first step already moves: rate / warmup_steps, not 0.
    warmup = optax.linear_schedule(
        learning_rate / warmup_steps, learning_rate, warmup_steps
    )
    return optax.join_schedules([warmup, decay], [warmup_steps])
