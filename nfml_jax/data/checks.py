"""Checks of the options that data sets share: fields of a config's section "data"."""

from typing import Any

from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.scalars import is_integer

NEEDS = {"seed": (0, 2**32 - 1), "max_train": (0,), "max_test": (0,)}


def check_shared(**options: Any) -> None:
    """Raise UserError for an invalid `seed`, `max_train` or `max_test`.

    None for one of the last two means 0, which is all.
    """
    for name, value in options.items():
        optional = name != "seed"
        check_integer(None, *NEEDS[name], optional=optional, **{f"data.{name}": value})


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
