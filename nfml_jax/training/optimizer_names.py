"""The optimizers by name, and the options of each."""

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

import optax
import optax.contrib

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_flag, check_number, check_text
from nfml_jax.ops.names import did_you_mean, look_up
from nfml_jax.training.directions import OPTIMIZERS

# What optax's functions take, and the section's own fields say for all of them.
ELSEWHERE = {
    "learning_rate": "learning_rate",
    "adam_learning_rate": "learning_rate",
    "warmup_steps": "warmup",
    **dict.fromkeys(
        ("weight_decay", "weight_decay_rate", "adam_weight_decay"), "weight_decay"
    ),
    **dict.fromkeys(("mask", "weight_decay_mask"), "decay"),
}

# What has no plain value: trees of parameters, functions and other optimizers.
NOT_PLAIN = (
    "base_optimizer",
    "clip_value_fn",
    "hessian_diagonal_fn",
    "linesearch",
    "muon_weight_dimension_numbers",
    "trust_ratio_mask",
    "weight_dimension_numbers",
)

BELOW_1 = ("b1", "b2", "momentum")

# Iterates that are averages of others; the updates lead from one average to the next.
SCHEDULE_FREE = ("schedule_free_adamw", "schedule_free_sgd")


@functools.cache
def optimizers() -> Mapping[str, Callable[..., optax.GradientTransformation]]:
    """Return every optimizer by its name: those of optax, and `OPTIMIZERS`.

    Optax's are its functions of a learning rate whose other arguments have defaults.
    """
    found = {}
    for module in (optax.contrib, optax):
        for name, function in vars(module).items():
            # A variant such as nadam is a partial function of the one that it varies.
            if not isinstance(function, types.FunctionType | functools.partial):
                continue
            if name.startswith(("_", "scale_by")):
                continue
            arguments = inspect.signature(function).parameters
            required = {n for n, p in arguments.items() if p.default is p.empty}
            rate = {"learning_rate", "max_learning_rate"} & arguments.keys()
            if rate and required <= rate:
                found[name] = function
    return types.MappingProxyType(found | OPTIMIZERS)


def known_options(name: str) -> dict[str, Any]:
    """Return the options of an optimizer and their defaults.

    >>> known_options("sgd")
    {'momentum': 0.9, 'nesterov': False}
    """
    arguments = inspect.signature(look_up(optimizers(), name, "optimizer")).parameters
    hidden = {*ELSEWHERE, *NOT_PLAIN, "max_learning_rate"}
    return {n: p.default for n, p in arguments.items() if n not in hidden}


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise UserError for an option that the optimizer lacks, or for a wrong value."""
    known = known_options(name)
    for option, value in options.items():
        field = f"optimizer.options.{option}"
        if option in ELSEWHERE:
            raise UserError(
                f"{field} is the same for every optimizer; set "
                f"optimizer.{ELSEWHERE[option]}."
            )
        if option not in known:
            words = ", ".join(known) or "none"
            raise UserError(
                f"optimizer {name!r} has no option {option!r}"
                f"{did_you_mean(option, known)}; its options are: {words}."
            )
        _check_kind(field, value, known[option])
        if option in BELOW_1:
            low = {"above": 0} if name in SCHEDULE_FREE and option == "b1" else {}
            check_number(None, 0, below=1, optional=True, **low, **{field: value})


def _check_kind(field: str, value, default) -> None:
    """Raise UserError for a value of another kind than the option's default."""
    if isinstance(default, bool):
        check_flag(None, **{field: value})
    elif isinstance(default, int | float):
        check_number(None, **{field: value})
    elif isinstance(default, str):
        check_text(None, **{field: value})
