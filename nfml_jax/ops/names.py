"""Names in configs: lookup by name, and dotted names of nested fields."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from nfml_jax.errors import UserError

T = TypeVar("T")

# If there are more known names than `MANY`, an error lists only `LISTED`.
MANY, LISTED = 100, 20


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return `table[name]`.

    Raises:
      UserError: for an unknown name; the error suggests the nearest name and lists the
        known ones, or some if there are very many.

    >>> look_up({"adam": 1, "sgd": 2}, "sgd", "Optimizer")
    2
    """
    if isinstance(name, str) and name in table:
        return table[name]
    known = sorted(table)
    more = f" and {len(known) - LISTED:,} more" if len(known) > MANY else ""
    listed = f"{', '.join(known[:LISTED] if more else known)}{more}"
    raise UserError(
        f"{kind} {name!r} is not known{did_you_mean(name, table)}; "
        + (f"known are: {listed}." if known else "there are none.")
    )


def check_names(names: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Raise UserError for the first name that is not known; see `look_up`.

    >>> check_names(["margin"], ["margin", "scale"], "option of the head:")
    """
    table = dict.fromkeys(known)
    for name in names:
        look_up(table, name, kind)


def did_you_mean(name: str, known, alike: float = 0.6) -> str:
    """Return " (did you mean ...?)" with the nearest of the `known` names, or "".

    `alike` is the least similarity, by `difflib`, of two names that are near.

    >>> did_you_mean("adma", ["adam", "sgd"])
    " (did you mean 'adam'?)"
    """
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=alike)
    return f" (did you mean {near[0]!r}?)" if near else ""


def flatten(config: Mapping, prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping with dotted names.

    >>> flatten({"head": {"margin": 0.5}})
    {'head.margin': 0.5}
    """
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
