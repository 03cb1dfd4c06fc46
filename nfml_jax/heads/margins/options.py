"""Options that margins share, and how formulae show a number."""

import dataclasses

from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_choice, check_flag

GRADIENTS = ("exact", "detach")
# What follows past θ + m = π -> as a run's header says it.
CONTINUATIONS = {
    "linear": "past π straight in cos θ",
    "clamp": "past π constant",
    "none": "past π rising again",
}


def check_choices(owner, **choices):
    """Raise UserError where `grad`, `beyond_pi` or another is none of its choices."""
    choices = {"grad": GRADIENTS, "beyond_pi": CONTINUATIONS, **choices}
    fields = {field.name for field in dataclasses.fields(owner)}
    for name, known in choices.items():
        if name in fields:
            check_choice(owner, known, **{name: getattr(owner, name)})
    if "easy" in fields:
        check_flag(owner, easy=owner.easy)


def shown(value) -> str:
    """Return a margin's number as formulae show it, or "m" where it isn't known."""
    return f"{value:g}" if angles.is_number(value) else "m"
