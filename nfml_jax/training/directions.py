"""The library's own optimizers, which map gradients to the direction of a step.

Their norms are those of whole parameters, also where devices have a share each.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from nfml_jax.training.sharding import norm

Transformation = optax.GradientTransformation


def _rmsprop(
    momentum: float = 0.9,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Transformation:
    rms = optax.scale_by_rms(
        decay, eps, initial_scale, eps_in_sqrt, bias_correction=bias_correction
    )
    return optax.chain(rms, optax.trace(momentum))


def _lamb(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0
) -> Transformation:
    adam = optax.scale_by_adam(b1, b2, eps, eps_root)
    return optax.chain(adam, _scale_by_trust_ratio())


def _sgd(momentum: float = 0.9, nesterov: bool = False) -> Transformation:
    return optax.trace(momentum, nesterov=nesterov)


# Each maps options to the direction of a step, which weight decay is added to and the
# schedule then scales. They go before optax's of the same name: the momentum of sgd and
# rmsprop is 0.9 unless it is set, lamb's norms are of parameters that devices share,
# and the states of all keep the layout that checkpoints have.
OPTIMIZERS: dict[str, Callable[..., Transformation]] = {
    "sgd": _sgd,
    # Momentum in bfloat16 takes half the memory; gradients vary more than it rounds.
    "sgd_bfloat16": lambda momentum=0.9: optax.trace(
        momentum, accumulator_dtype=jnp.bfloat16
    ),
    "nesterov": lambda momentum=0.9: optax.trace(momentum, nesterov=True),
    "adam": optax.scale_by_adam,
    "lamb": _lamb,
    "rmsprop": _rmsprop,
    "lion": optax.scale_by_lion,
}


# These two are optax's with a norm that is of a whole parameter where devices have a
# share each.
def clip_by_norm(most: float) -> Transformation:
    """Return a transformation that shortens gradients whose norm is above `most`."""

    def clip(grads, params=None):
        length = norm(grads)
        return jax.tree.map(
            lambda g: jnp.where(length < most, g, g / length * most), grads
        )

    return optax.stateless(clip)


def _scale_by_trust_ratio() -> Transformation:
    def scale(update, param):
        lengths = norm(param), norm(update)
        ratio = lengths[0] / jnp.where(lengths[1] == 0.0, 1.0, lengths[1])
        return update * jnp.where(lengths[0] * lengths[1] == 0.0, 1.0, ratio)

    return optax.stateless(lambda updates, params: jax.tree.map(scale, updates, params))
