"""Checks of the numbers that losses and miners are made of."""

import math
import numbers
from typing import Any

import jax

from nfml_jax.errors import UserError


def check_number(owner, low: float, high: float = math.inf, **values: Any) -> None:
    """Raises `UserError` for what is not a finite number in [low, high].

    Arrays pass: a traced scalar isn't known yet.
    """
    for name, value in values.items():
        if isinstance(value, jax.Array):
            continue
        number = isinstance(value, numbers.Real) and math.isfinite(value)
        if not (number and low <= value <= high):
            wanted = f"in [{low:g}, {high:g}]" if high < math.inf else f"≥ {low:g}"
            raise UserError(
                f"{type(owner).__name__} got {name}={value!r}; expected a number "
                f"{wanted}."
            )


def check_choice(owner, choices, **values: Any) -> None:
    """Raises `UserError` for what is none of the choices."""
    for name, value in values.items():
        if value not in choices:
            raise UserError(
                f"{type(owner).__name__} got {name}={value!r}; expected one of "
                f"{', '.join(map(repr, choices))}."
            )


def check_whole(owner, least: int, **values) -> None:
    """Raises `UserError` for what is not a whole number of at least `least`."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral) or value < least:
            raise UserError(
                f"{type(owner).__name__} got {name}={value!r}; expected a whole number "
                f"of at least {least}."
            )


def check_chunk(owner) -> None:
    """Raises `UserError` for an owner's `chunk` that is neither None nor 1 or more."""
    if owner.chunk is not None:
        check_whole(owner, 1, chunk=owner.chunk)
