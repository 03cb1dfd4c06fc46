"""Optimizers made from the settings of a config.

An optimizer is a name of optax or of optax.contrib, or one of `OPTIMIZERS`, with its
options. Weight decay and multipliers of the learning rate act on parameters whose paths
match patterns; see `nfml_jax.training.parameter_patterns`.
"""

import dataclasses
import functools
import inspect
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from optax.contrib import MuonDimensionNumbers, ScheduleFreeState

from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up
from nfml_jax.training.directions import OPTIMIZERS, clip_by_norm
from nfml_jax.training.optimizer_names import SCHEDULE_FREE, check_options, optimizers
from nfml_jax.training.parameter_patterns import matches, matching, names_of
from nfml_jax.training.settings import DECAYED, OptimizerSettings

PyTree = Any
Transformation = optax.GradientTransformation


def make_optimizer(
    schedule: optax.Schedule, settings: OptimizerSettings
) -> Transformation:
    """Return the optimizer of `settings`.

    Weight decay is decoupled from the gradient's statistics (Loshchilov and Hutter
    2019, algorithm 2): it adds `-schedule(step) * weight_decay * parameter`.

    Args:
      schedule: the learning rate by step. One of `OPTIMIZERS` is scaled by it; one of
        optax is made with it.
      settings: the name and its options; see `matches` for patterns. The schedule's
        fields are not read.

    Raises:
      UserError: for an unknown name or option, for a value that does not fit, and for
        an optimizer that needs more than gradients and parameters.
    """
    name, options = settings.name, settings.options
    factory = look_up(optimizers(), name, "optimizer")
    check_options(name, options)
    scaled = {p: m for p, m in settings.multipliers.items() if m != 1.0}
    if name in SCHEDULE_FREE and scaled:
        raise UserError(
            f"optimizer.name = {name!r} has one learning rate for all parameters; take "
            "out optimizer.multipliers, or take another optimizer."
        )
    clip_norm, weight_decay = settings.clip_norm, settings.weight_decay
    parts = [] if clip_norm is None else [clip_by_norm(clip_norm)]
    mask = functools.partial(matching, patterns=settings.decay)
    try:
        if name in OPTIMIZERS:
            parts.append(factory(**options))
            if weight_decay is not None:
                parts.append(optax.add_decayed_weights(weight_decay, mask=mask))
            parts.append(optax.scale_by_learning_rate(schedule))
        else:
            parts += _of_optax(factory, name, schedule, options, weight_decay, mask)
    except UserError:
        raise
    except (TypeError, ValueError) as problem:
        raise _refusal(name, problem) from None
    for pattern, multiplier in scaled.items():
        scale = optax.scale(multiplier)
        chosen = functools.partial(matching, patterns=(pattern,))
        parts.append(optax.masked(scale, chosen))
    optimizer = optax.chain(*parts)
    _try(optimizer, name)
    return optimizer


def _of_optax(factory, name, schedule, options, weight_decay, mask) -> list:
    """Return the parts of an optimizer that optax makes.

    One with a weight decay of its own is given the section's, because the decay may
    be part of its iterates, and its default may not be 0.
    """
    taken, parts = inspect.signature(factory).parameters, []
    own = {n: mask for n in ("mask", "weight_decay_mask") if n in taken}
    rate_of_decay = 0.0 if weight_decay is None else weight_decay
    own = own | {"weight_decay": rate_of_decay} if "weight_decay" in taken else {}
    if name == "muon":
        # Its decay leaves out what is no matrix, and by default it takes a stack of
        # biases for one.
        own = {"muon_weight_dimension_numbers": _matrices}
    everything = own.keys() & {"mask", "weight_decay_mask"} or "weight_decay" not in own
    decays = weight_decay is not None
    if not everything and decays and "*" not in mask.keywords["patterns"]:
        raise UserError(
            f"optimizer.name = {name!r} decays all parameters or none; set "
            "optimizer.decay = ('*',), or optimizer.weight_decay = None."
        )
    parts.append(factory(schedule, **options, **own))
    if decays and "weight_decay" not in own:

        def rate(step):
            return -schedule(step) * weight_decay

        parts.append(optax.add_decayed_weights(rate, mask=mask))
    return parts


def _matrices(params: PyTree) -> PyTree:
    """Return the matrix axes of each parameter that inputs are multiplied by.

    Layers that are scanned together have their matrices stacked as `[layers, inputs,
    outputs]`; a kernel of four axes is that of a convolution in two dimensions.
    """

    def axes(path, leaf):
        if leaf.ndim < 2 or not any(matches(names_of(path), p) for p in DECAYED):
            return None
        inputs = (0, 1, 2) if leaf.ndim == 4 else (leaf.ndim - 2,)
        return MuonDimensionNumbers(inputs, leaf.ndim - 1)

    return jax.tree_util.tree_map_with_path(axes, params)


def _try(optimizer: Transformation, name: str) -> None:
    """Raise UserError for an optimizer that cannot make a step of gradients alone."""
    shapes = {"kernel": (4, 2), "bias": (2,)}
    params = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in shapes.items()}

    def step(params):
        return optimizer.update(params, optimizer.init(params), params)

    try:
        jax.eval_shape(step, params)
    except (TypeError, ValueError) as problem:
        raise _refusal(name, problem) from None


def _refusal(name: str, problem: Exception) -> UserError:
    reason = str(problem).strip().split("\n")[0].rstrip(".")
    if "required keyword-only argument" in reason or "must be provided" in reason:
        return UserError(
            f"optimizer.name = {name!r} needs more than gradients and parameters "
            f"({reason}); take an optimizer that doesn't, such as adam."
        )
    return UserError(
        f"optimizer.name = {name!r} cannot be made with this schedule and these "
        f"options ({reason}); change them, or take another optimizer."
    )


def check_shares(schedule: optax.Schedule, settings: OptimizerSettings) -> None:
    """Raise UserError for an optimizer that must see the whole of a parameter.

    Devices that have a share each of a parameter update it by themselves. The library's
    own optimizers sum their norms over devices; one of optax has to update each number
    by itself, which is tried on halves of a small parameter.
    """
    if settings.name in OPTIMIZERS:
        return
    unclipped = dataclasses.replace(settings, clip_norm=None)
    optimizer = make_optimizer(schedule, unclipped)
    whole = {"kernel": jnp.arange(1.0, 17.0).reshape(8, 2)}
    first, second = ({"kernel": x} for x in jnp.split(whole["kernel"], 2))

    @jax.jit
    def last_update(params):
        updates, state = params, optimizer.init(params)
        grads = params
        # An adaptive learning rate may be a constant at first.
        for _ in range(8):
            updates, state = optimizer.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return cast(dict, updates)["kernel"]

    halves = jnp.concatenate([last_update(first), last_update(second)])
    if not jnp.allclose(last_update(whole), halves, rtol=1e-3, atol=0.0):
        raise UserError(
            f"optimizer.name = {settings.name!r} needs whole parameters, and devices "
            "have a share each of the class weights; take adam, lamb or another "
            "optimizer that updates each number by itself, or head.summation="
            "'streamed'."
        )


def evaluation_params(state: PyTree, params: PyTree) -> PyTree | None:
    """Return the parameters to evaluate of a schedule-free optimizer; else None.

    Its gradients are those at an interpolation of two sequences, one of which is the
    running average that is evaluated (Defazio et al. 2024).
    """

    def is_free(node):
        return isinstance(node, ScheduleFreeState)

    for node in jax.tree.leaves(state, is_leaf=is_free):
        if is_free(node):
            averages = optax.contrib.schedule_free_eval_params(node, params)
            return jax.tree.map(lambda x, p: x.astype(p.dtype), averages, params)
    return None
