"""Checks of options: numbers, integers, sizes, flags, texts and choices.

Each function takes the owner and the options by name, and raises a `UserError` of one
sentence for the first option that does not fit. The owner is an object, of which the
class is named, or a text such as the name of a recipe. The owner None names the option
alone, which is right for fields of a config:

>>> check_integer("maf", 1, layers=0)
Traceback (most recent call last):
nfml_jax.errors.UserError: maf got layers=0; expected an integer of at least 1.
>>> check_number(None, 0.0, 1.0, **{"train.average_decay": 2.0})
Traceback (most recent call last):
nfml_jax.errors.UserError: train.average_decay=2.0; expected a number in [0, 1].

A traced array passes every check of a number, because its value isn't known yet.
A bool is never taken for a number.
"""

import math
import numbers
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean
from nfml_jax.ops.scalars import has_axes, is_integer, is_number, is_traced, plain

# The largest integer that a count may be: counts on devices are int32.
LARGEST = 2**31 - 1
# The widest layer, and the most layers, that an option may ask for.
WIDEST = 2**20
DEEPEST = 10_000


def check_number(
    owner: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    integral: bool = False,
    optional: bool = False,
    hint: str = "",
    **values: Any,
) -> None:
    """Raise UserError for a value that isn't a finite number in the given range.

    The range is [low, high] and (above, below). The value of an `integral` number is an
    integer, though its type may be a float. None passes if `optional`. `hint` ends the
    sentence with a unit or a remedy. Arrays of JAX with axes pass, because a margin may
    have one number for each example.
    """
    for name, value in values.items():
        if is_traced(value) or has_axes(value) or (optional and value is None):
            continue
        value = plain(value)
        inside = is_number(value) and low <= value <= high and above < value < below
        if not inside or (integral and not float(value).is_integer()):
            kind = "an integer" if integral else "a number"
            wanted = _range(low, high, above, below)
            refuse(owner, name, value, f"{kind}{wanted}{hint}")


def check_integer(
    owner: Any,
    low: int,
    high: int = LARGEST,
    *,
    optional: bool = False,
    hint: str = "",
    **values: Any,
) -> None:
    """Raise UserError for a value that isn't an integer in [low, high].

    A float isn't an integer, even if its value is integral. None passes if `optional`.
    """
    for name, value in values.items():
        if is_traced(value) or (optional and value is None):
            continue
        value = plain(value)
        if not (is_integer(value) and low <= value <= high):
            wanted = (
                f" of at least {low}" if high == LARGEST else f" in [{low}, {high}]"
            )
            if is_integer(value) and value > high == LARGEST:
                wanted += " and below 2**31"
            refuse(owner, name, value, f"an integer{wanted}{hint}")


def check_odd(owner: Any, **values: Any) -> None:
    """Raise UserError for a value that isn't an odd integer of at least 1."""
    for name, value in values.items():
        check_integer(owner, 1, **{name: value})
        if value % 2 == 0:
            refuse(owner, name, value, "an odd integer")


def check_part(owner: Any = None, **parts: Any) -> None:
    """Raise UserError for the size of a part that is neither a count nor a fraction.

    A count may be written as 2.0: a config whose default is a fraction makes it one.
    """
    for name, value in parts.items():
        if isinstance(value, float) and value >= 1 and value.is_integer():
            value = int(value)
        named: dict[str, Any] = {name: value}
        if is_integer(value):
            check_integer(owner, 0, **named)
        else:
            hint = ", or a count of examples"
            check_number(owner, 0, below=1, hint=hint, **named)


def check_sizes(
    owner: Any,
    low: int = 1,
    high: int = WIDEST,
    *,
    least: int = 0,
    most: float = math.inf,
    **values: Any,
) -> None:
    """Raise UserError for a value that isn't a sequence of integers in [low, high].

    `least` and `most` bound the number of integers.
    """
    for name, value in values.items():
        fits = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        if not (
            fits
            and np.ndim(value) <= 1
            and least <= len(value) <= most
            and all(_lies_in(size, low, high) for size in value)
        ):
            count = f"{least} or more " if least else ""
            if most < math.inf:
                count = f"{least} " if least == most else f"{least} to {most} "
            refuse(
                owner,
                name,
                value,
                f"a tuple of {count}integers of at least {low}"
                + (f" and at most {high}" if high < LARGEST else ""),
            )


def check_flag(owner: Any, **values: Any) -> None:
    """Raise UserError for a value that is neither True nor False."""
    for name, value in values.items():
        if not isinstance(value, bool | np.bool_):
            refuse(owner, name, value, "True or False")


def check_text(
    owner: Any, *, empty: bool = True, optional: bool = False, **values: Any
) -> None:
    """Raise UserError for a value that isn't a text.

    An empty one passes if `empty`, and None if `optional`.
    """
    for name, value in values.items():
        if optional and value is None:
            continue
        if not isinstance(value, str) or not (value or empty):
            refuse(owner, name, value, "a text" if empty else "a text that isn't empty")


def check_texts(owner: Any, **values: Any) -> None:
    """Raise UserError for a value that isn't a tuple or a list of texts."""
    for name, value in values.items():
        listed = isinstance(value, tuple | list)
        if not (listed and all(isinstance(text, str) for text in value)):
            refuse(owner, name, value, "a tuple of texts")


def check_choice(owner: Any, choices, *, optional: bool = False, **values: Any) -> None:
    """Raise UserError for a value that isn't one of the choices.

    None passes if `optional`.
    """
    choices = tuple(choices)
    for name, value in values.items():
        if optional and value is None:
            continue
        if not any(_equal(value, one) for one in choices):
            hint = did_you_mean(value, filter(_is_text, choices))
            known = ", ".join(map(repr, choices))
            refuse(owner, name, value, f"one of {known}{hint}")


def check_kind(owner: Any, kind: Any, *, optional: bool = False, **values: Any) -> None:
    """Raise UserError for a value that isn't an instance of `kind`.

    `kind` is a class or a union of classes. None passes if `optional`.
    """
    for name, value in values.items():
        if isinstance(value, kind) or (optional and value is None):
            continue
        wanted = getattr(kind, "__name__", str(kind))
        wanted = f"a {'Flax module' if wanted == 'Module' else wanted}"
        if isinstance(value, type) and issubclass(value, kind):
            wanted += f", such as {value.__name__}()"
        refuse(owner, name, value, wanted)


def check_interval(owner: Any, **values: Any) -> None:
    """Raise UserError for a value that isn't two finite numbers in order."""
    for name, value in values.items():
        pair = isinstance(value, tuple) and len(value) == 2
        if not (pair and all(map(is_number, value)) and value[0] < value[1]):
            refuse(owner, name, value, "two finite numbers, the lower one first")


def check_function(owner: Any, **values: Any) -> None:
    """Raise UserError for a value that can't be called."""
    for name, value in values.items():
        if not callable(value):
            refuse(owner, name, value, "a function")


def check_radians(owner: Any, **values: Any) -> None:
    """Raise UserError for a value that isn't an angle in [0, π/2].

    The sentence points out an angle in degrees.
    """
    for name, value in values.items():
        hint = " radians"
        if is_number(value) and 2 <= value <= 90:
            hint += f" (if {value:g} is in degrees, give {math.radians(value):.3f})"
        check_number(owner, 0.0, math.pi / 2, hint=hint, **{name: value})


def refuse(owner: Any, name: str, value: Any, wanted: str) -> NoReturn:
    """Raise the UserError that names the owner, the option, its value and its range."""
    shown = repr(value)
    if len(shown) > 60:
        shown = f"{shown[:57]}..."
    if owner is not None:
        owner = owner if isinstance(owner, str) else type(owner).__name__
        name = f"{owner} got {name}"
    raise UserError(f"{name}={shown}; expected {wanted}.")


def _lies_in(value: Any, low: int, high: int) -> bool:
    """Return whether a value is an integer in [low, high]."""
    return is_integer(value) and low <= value <= high


def _is_text(value: Any) -> bool:
    """Return whether a value is a text."""
    return isinstance(value, str)


def _equal(value: Any, choice: Any) -> bool:
    """Return whether a value is a choice; True is not 1, and a list equals nothing."""
    plain = isinstance(value, str | numbers.Real)
    same_kind = isinstance(value, bool) == isinstance(choice, bool)
    return value is choice or (plain and same_kind and value == choice)


def _range(low: float, high: float, above: float, below: float) -> str:
    """Return the words for a range; a bound that is infinite is left out."""
    lowest, highest = max(low, above), min(high, below)
    over, under = above >= low, below <= high
    if math.isfinite(lowest) and math.isfinite(highest):
        left, right = "(" if over else "[", ")" if under else "]"
        return f" in {left}{lowest:g}, {highest:.6g}{right}"
    if math.isfinite(lowest):
        return f" {'above' if over else 'of at least'} {lowest:g}"
    if math.isfinite(highest):
        return f" {'below' if under else 'of at most'} {highest:.6g}"
    return ""
