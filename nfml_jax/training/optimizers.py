"""Optimizers of optax and learning-rate schedules by name, from plain config values."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nfml_jax.errors import UserError
from nfml_jax.ops.devices import SPLIT
from nfml_jax.ops.names import look_up
from nfml_jax.training.sharding import norm

PyTree = Any

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": lambda momentum: optax.trace(momentum, nesterov=False),
    # Half the memory for what momentum remembers, which its noise doesn't show.
    "sgd_bfloat16": lambda momentum: optax.trace(
        momentum, accumulator_dtype=jnp.bfloat16
    ),
    "nesterov": lambda momentum: optax.trace(momentum, nesterov=True),
    "adam": lambda momentum: optax.scale_by_adam(b1=momentum),
    "lamb": lambda momentum: optax.chain(
        optax.scale_by_adam(b1=momentum), _scale_by_trust_ratio()
    ),
    "rmsprop": lambda momentum: optax.chain(
        optax.scale_by_rms(), optax.trace(momentum)
    ),
    "lion": lambda momentum: optax.scale_by_lion(b1=momentum),
}

DECAYED = ("kernel*", "weights", "proxies", "triangles", "L")
"""Patterns of the names of parameters that inputs are multiplied by."""

# Each maps (peak rate, steps) to a schedule of the steps after the warm-up.
SCHEDULES: dict[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda rate, steps: optax.constant_schedule(rate),
    "cosine": lambda rate, steps: optax.cosine_decay_schedule(rate, steps),
    "linear": lambda rate, steps: optax.linear_schedule(rate, 0.0, steps),
    # A tenth at one half and again at three quarters: the face papers' staircase.
    "staircase": lambda rate, steps: optax.piecewise_constant_schedule(
        rate, {steps // 2: 0.1, 3 * steps // 4: 0.1}
    ),
}


def make_schedule(
    name: str, learning_rate: float, *, steps: int, warmup_steps: int = 0
) -> optax.Schedule:
    """Return the rate at each step: a linear warm-up, then the named decay to `steps`.

    The rate may be a traced scalar, as may `make_optimizer`'s momentum, weight decay
    and clipping norm.
    """
    if is_known(learning_rate) and not learning_rate > 0:
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


def make_optimizer(
    schedule: optax.Schedule,
    *,
    name: str = "adam",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    head_multiplier: float = 1.0,
) -> optax.GradientTransformation:
    """Return a named optimizer whose updates are `-schedule(step)` times its direction.

    Weight decay is decoupled from the gradient's statistics (Loshchilov and Hutter
    2019, algorithm 2) and acts on the parameters whose names match `DECAYED`: not on
    biases, scales and shifts. 0 turns it, and clipping by the global norm, off.
    `head_multiplier` multiplies the learning rate of the parameters under "head": class
    weights often want ten times the encoder's rate.
    """
    parts = []
    not_negative = [x for x in (clip_norm, weight_decay) if is_known(x)]
    if min(not_negative, default=0) < 0 or head_multiplier <= 0:
        raise UserError(
            f"optimizer.clip_norm = {clip_norm} and weight_decay = {weight_decay} must "
            f"be at least 0 (0: off) and head_multiplier = {head_multiplier} positive."
        )
    if is_known(momentum) and not 0 <= momentum < 1:
        raise UserError(f"optimizer.momentum = {momentum} must lie in [0, 1).")
    if _is_on(clip_norm):
        parts.append(_clip_by_norm(clip_norm))
    parts.append(look_up(OPTIMIZERS, name, "optimizer")(momentum))
    if _is_on(weight_decay):
        parts.append(optax.add_decayed_weights(weight_decay, mask=is_decayed))
    parts.append(optax.scale_by_learning_rate(schedule))
    if head_multiplier != 1.0:
        parts.append(optax.masked(optax.scale(head_multiplier), _is_head))
    return optax.chain(*parts)


def is_known(number: float | jax.Array) -> bool:
    """Return whether a number can be checked; arrays cannot, as they may be traced."""
    return not isinstance(number, jax.Array)


def _is_on(number) -> bool:
    """Return whether a number may differ from 0, as an unknown one may."""
    return not is_known(number) or number != 0


# These two are optax's with a norm that is of a whole parameter where devices have a
# share each.
def _clip_by_norm(most: float) -> optax.GradientTransformation:
    def clip(grads, params=None):
        length = norm(grads)
        return jax.tree.map(
            lambda g: jnp.where(length < most, g, g / length * most), grads
        )

    return optax.stateless(clip)


def _scale_by_trust_ratio() -> optax.GradientTransformation:
    def scale(update, param):
        lengths = norm(param), norm(update)
        ratio = lengths[0] / jnp.where(lengths[1] == 0.0, 1.0, lengths[1])
        return update * jnp.where(lengths[0] * lengths[1] == 0.0, 1.0, ratio)

    return optax.stateless(lambda updates, params: jax.tree.map(scale, updates, params))


def is_decayed(params: PyTree) -> PyTree:
    """Return for each parameter whether weight decay acts on it.

    The name decides, and not the number of axes: layers that are scanned together
    have their biases stacked as `[layers, features]`.
    """

    def matches(path, _):
        name = path[-1].key.removeprefix(SPLIT)
        return any(fnmatchcase(name, pattern) for pattern in DECAYED)

    return jax.tree_util.tree_map_with_path(matches, params)


def _is_head(params: PyTree) -> PyTree:
    return {
        name: jax.tree.map(lambda _, in_head=name == "head": in_head, subtree)
        for name, subtree in params.items()
    }
