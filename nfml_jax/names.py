"""Names as configs use them: looking a thing up, and dotted names of nested fields."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from nfml_jax.errors import UserError

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """`table[name]`, or a sentence that lists the known names and the nearest one."""
    if isinstance(name, str) and name in table:
        return table[name]
    raise UserError(
        f"{kind} {name!r} is not known{did_you_mean(name, table)}; "
        f"known are: {', '.join(sorted(table))}."
    )


def did_you_mean(name: str, known, alike: float = 0.6) -> str:
    """ " (did you mean ...?)" with the nearest of the `known` names, or "".

    `alike` is the least ratio of `difflib` at which two names are near.
    """
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=alike)
    return f" (did you mean {near[0]!r}?)" if near else ""


def flatten(config: Mapping, prefix: str = "") -> dict[str, Any]:
    """{"head": {"margin": 0.5}} as {"head.margin": 0.5}."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
