"""Looking a thing up by the name a config gives it."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from nfml_jax.errors import UserError

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """`table[name]`, or a sentence that lists the known names and the nearest one."""
    if name in table:
        return table[name]
    raise UserError(
        f"{kind} {name!r} is not known{did_you_mean(name, table)}; "
        f"known are: {', '.join(sorted(table))}."
    )


def did_you_mean(name: str, known) -> str:
    """ " (did you mean ...?)" with the nearest of the `known` names, or ""."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
