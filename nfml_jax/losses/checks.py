"""Checks of the numbers that objectives are made of."""

import numbers

from nfml_jax.errors import UserError


def check_whole(owner, least: int, **values) -> None:
    """Raises `UserError` for what is not a whole number of at least `least`."""
    for name, value in values.items():
        if not isinstance(value, numbers.Integral) or value < least:
            raise UserError(
                f"{type(owner).__name__} got {name}={value!r}; expected a whole number "
                f"of at least {least}."
            )
