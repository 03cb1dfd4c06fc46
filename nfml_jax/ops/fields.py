"""Fields of settings that are declared as traceable by a program."""

import dataclasses
from typing import Any


def traced(default: Any, **metadata: Any) -> Any:
    """Return a dataclass field with a number that a compiled program takes as an input.

    Such a number changes no shape, no branch and no data. Runs that differ in traced
    numbers alone can therefore share one program; see `nfml_jax.sweeps.programs`.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Shift:
    ...     margin: float = traced(0.3)
    ...     easy: bool = False
    >>> Shift(), traced_fields(Shift)
    (Shift(margin=0.3, easy=False), frozenset({'margin'}))
    """
    return dataclasses.field(default=default, metadata={"traced": True, **metadata})


def traced_fields(kind: Any) -> frozenset[str]:
    """Return the names of a dataclass's fields that were made by `traced`."""
    fields = dataclasses.fields(kind)
    return frozenset(field.name for field in fields if field.metadata.get("traced"))
