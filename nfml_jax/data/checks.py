"""Checks of the options that data sets share: fields of a config's section "data"."""

from typing import Any

from nfml_jax.ops.checks import check_integer

NEEDS = {"seed": (0, 2**32 - 1), "max_train": (0,), "max_test": (0,)}


def check_shared(**options: Any) -> None:
    """Raise UserError for an invalid `seed`, `max_train` or `max_test`.

    None for one of the last two means 0, which is all.
    """
    for name, value in options.items():
        optional = name != "seed"
        check_integer(None, *NEEDS[name], optional=optional, **{f"data.{name}": value})
