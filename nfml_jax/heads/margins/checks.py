"""Checks of margins' fields, and how formulae show them.

Margins may be traced scalars: what is checked here is checked for plain numbers only.
"""

import math

from nfml_jax.errors import UserError
from nfml_jax.heads import angles

GRADIENTS = ("exact", "detach")
# What follows past θ + m = π -> as a run's header says it.
CONTINUATIONS = {
    "linear": "past π straight in cos θ",
    "clamp": "past π constant",
    "none": "past π rising again",
}


def check_number(owner, name, low, high=math.inf, *, whole=False, hint=""):
    """Raises UserError for a plain number outside [low, high]; lets arrays pass."""
    value = getattr(owner, name)
    if hasattr(value, "dtype") and not angles.is_number(value):
        return
    kind = "a whole number" if whole else "a number"
    valid = angles.is_number(value) and low <= value <= high and value < math.inf
    if not valid or (whole and not float(value).is_integer()):
        wanted = (
            f"in [{low:g}, {high:.6g}]" if high < math.inf else f"of at least {low:g}"
        )
        raise UserError(
            f"{type(owner).__name__} got {name}={value!r}; expected {kind} "
            f"{wanted}{hint}."
        )


def check_radians(owner, name):
    """Raises UserError for a plain number that is no angle in [0, π/2]."""
    value, hint = getattr(owner, name), " radians"
    if angles.is_number(value) and 2 <= value <= 90:
        hint += f" (if {value:g} is in degrees, give {math.radians(value):.3f})"
    check_number(owner, name, 0.0, math.pi / 2, hint=hint)


def check_choices(owner, **choices):
    """Raises UserError where `grad`, `beyond_pi` or another is none of its choices."""
    choices = {"grad": GRADIENTS, "beyond_pi": CONTINUATIONS, **choices}
    for name, known in choices.items():
        if (value := getattr(owner, name, None)) not in (None, *known):
            raise UserError(
                f"{type(owner).__name__} got {name}={value!r}; expected one of "
                f"{', '.join(map(repr, known))}."
            )


def shown(value) -> str:
    """A margin's number as formulae show it; "m" where it isn't known."""
    return f"{value:g}" if angles.is_number(value) else "m"
