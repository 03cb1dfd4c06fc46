"""Sections of a config as frozen dataclasses with typed, documented, checked fields.

A section is a subclass of `Settings`. It is made once, by `of`, from the plain values
of a config; whatever runs behind that reads its attributes:

>>> @dataclasses.dataclass(frozen=True)
... class Averaging(Settings):
...     section = "averaging"
...     decay: float | None = setting("The decay of the average; None is off.", None)
>>> Averaging.of({"decay": 1})
Averaging(decay=1.0)
>>> Averaging.of({"decy": 0.9})
Traceback (most recent call last):
nfml_jax.errors.UserError: averaging.decy is not known (did you mean 'decay'?)...
>>> Averaging(decay="slow")
Traceback (most recent call last):
nfml_jax.errors.UserError: averaging.decay='slow'; expected a number.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import (
    check_flag,
    check_integer,
    check_kind,
    check_number,
    check_sizes,
    check_text,
    check_texts,
    refuse,
)
from nfml_jax.ops.fields import traced_fields
from nfml_jax.ops.names import did_you_mean


def setting(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    check: Callable[..., None] | None = None,
    traced: bool | tuple[str, ...] = False,
    sparse: bool = False,
) -> Any:
    """Return a field of a `Settings`.

    Args:
      doc: the field's meaning and unit.
      default: the value of a section without the field; a mapping is copied.
      check: a function as in `nfml_jax.ops.checks`, for more than the field's type.
      traced: True if a compiled program may take the number as an input; of a mapping,
        the names of such numbers. See `nfml_jax.ops.fields.traced`.
      sparse: True if `Settings.to_config` leaves the field out where it is None.
    """
    metadata = {"doc": doc, "check": check, "traced": traced, "sparse": sparse}
    if isinstance(default, Mapping):
        copy = functools.partial(dict, default)
        return dataclasses.field(default_factory=copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def further(doc: str) -> Any:
    """Return the field of a `Settings` that holds fields with other names.

    In the config they lie beside the section's own fields. What the section is about
    checks them: a head knows the options of its margin.
    """
    return dataclasses.field(default_factory=dict, metadata={"doc": doc, "rest": True})


@dataclasses.dataclass(frozen=True)
class Kind:
    """The type of a field: one of several, perhaps optional."""

    types: tuple[Any, ...]
    optional: bool
    items: tuple[Any, ...] = ()

    @classmethod
    def of(cls, hint: Any) -> "Kind":
        """Return the kind of a field's annotation."""
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        parts = typing.get_args(hint) if union else (hint,)
        plain = [part for part in parts if part is not type(None)]
        return cls(
            tuple(typing.get_origin(part) or part for part in plain),
            optional=len(plain) < len(parts),
            items=tuple(item for part in plain for item in typing.get_args(part)),
        )

    @property
    def section(self) -> "type[Settings] | None":
        """The class of a nested section, or None for a plain value."""
        found = [t for t in self.types if isinstance(t, type)]
        return next((t for t in found if issubclass(t, Settings)), None)

    def cast(self, value: Any) -> Any:
        """Return `value` in the field's type, where it is equal to one of that type.

        JSON has lists for tuples, and people write 1 for 1.0.
        """
        if self.section and isinstance(value, Mapping):
            return self.section.of(value)
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, list) and tuple in self.types:
            return tuple(value)
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        exact = float in self.types and int not in self.types and abs(value) < 2**53
        return float(value) if exact else value

    def check(self, name: str, value: Any) -> None:
        """Raise UserError for a value of another type than the field's."""
        if self.optional and value is None:
            return
        if len(self.types) > 1:
            return  # the field's own check knows which values of several types fit
        kind = next(iter(self.types))
        if self.section:
            if not isinstance(value, kind):
                refuse(None, name, value, "a section with fields")
            return
        if kind is tuple:
            check = check_texts if str in self.items else _check_integers
        else:
            check = CHECKS.get(kind, _check_mapping)
        check(None, **{name: value})


def _check_integers(owner: Any, **values: Any) -> None:
    check_sizes(owner, 0, **values)


def _check_mapping(owner: Any, **values: Any) -> None:
    check_kind(owner, Mapping, **values)


CHECKS: dict[Any, Callable[..., None]] = {
    bool: check_flag,
    int: functools.partial(check_integer, low=-(2**31)),
    float: check_number,
    str: functools.partial(check_text, empty=False),
}


class Settings:
    """The base of a config's sections; a subclass is a frozen dataclass.

    `section` is its dotted name in configs, with which errors begin. Of a section that
    is `complete`, `of` takes every field from the config and none from its defaults.
    """

    section: ClassVar[str] = ""
    complete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Cast and check every field; raise UserError for the first that is wrong."""
        for field, kind in fields_of(type(self)):
            value = kind.cast(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            name = self.dotted(field.name)
            kind.check(name, value)
            check = field.metadata.get("check")
            if check and not (kind.optional and value is None):
                check(None, **{name: value})

    @classmethod
    def dotted(cls, field: str) -> str:
        """Return the name of a field in configs: "train.batch_size"."""
        return f"{cls.section}.{field}" if cls.section else field

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return the section with the values of a config, a nested mapping.

        A section that is made already is returned as it is.

        Raises UserError for an unknown field, a missing one, or a value that doesn't
        fit.
        """
        if isinstance(values, cls):
            return values
        if not isinstance(values, Mapping):
            refuse(None, cls.section, values, "a section with fields")
        known = {field.name: field for field, _ in fields_of(cls)}
        rest = next((n for n, f in known.items() if f.metadata.get("rest")), None)
        own = {n: v for n, v in values.items() if n in known and n != rest}
        others = {n: v for n, v in values.items() if n not in own}
        if rest is None:
            for name in others:
                raise UserError(
                    f"{cls.dotted(name)} is not known{did_you_mean(name, known)}; "
                    f"known are: {', '.join(sorted(known))}."
                )
        else:
            own[rest] = others
        for name, field in known.items():
            bare = field.default is field.default_factory  # both are missing
            if (bare or cls.complete) and name not in own:
                raise cls.missing(name)
        return cls(**own)

    @classmethod
    def missing(cls, field: str) -> UserError:
        """Return the error of a config that lacks a field."""
        is_section = dict(kinds_of(cls))[field].section
        kind = "section" if is_section else "field"
        return UserError(
            f"the config has no {kind} {cls.dotted(field)!r}; begin it with "
            "configs.defaults.training, which has all that a run needs."
        )

    def to_config(self) -> dict[str, Any]:
        """Return the section as the plain values of a config."""
        config: dict[str, Any] = {}
        for field, _ in fields_of(type(self)):
            value = getattr(self, field.name)
            if field.metadata.get("rest"):
                config |= value
            elif value is not None or not field.metadata.get("sparse"):
                nested = isinstance(value, Settings)
                config[field.name] = value.to_config() if nested else value
        return config

    def cast(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return `config` with the values of this section, which was made from it.

        Fields that `config` lacks stay absent, and so do their defaults.
        """
        own = self.to_config()
        cast = dict(config)
        for name in own.keys() & config.keys():
            value = getattr(self, name, None)
            nested = isinstance(value, Settings)
            cast[name] = value.cast(config[name]) if nested else own[name]
        return cast


@functools.cache
def kinds_of(settings: type[Settings]) -> tuple[tuple[str, Kind], ...]:
    """Return the name and the kind of each field."""
    hints = typing.get_type_hints(settings)
    fields = dataclasses.fields(settings)  # type: ignore[arg-type]
    return tuple((field.name, Kind.of(hints[field.name])) for field in fields)


def fields_of(settings: type[Settings]) -> Iterator[tuple[dataclasses.Field, Kind]]:
    """Return each field of a section with its kind."""
    kinds = dict(kinds_of(settings))
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        yield field, kinds[field.name]


def traced_names(settings: type[Settings]) -> frozenset[str]:
    """Return the dotted names of the fields that a program may take as inputs.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Rate(Settings):
    ...     section = "rate"
    ...     peak: float = setting("The peak.", 0.1, traced=True)
    ...     options: Mapping = setting("Options.", {}, traced=("b1",))
    >>> sorted(traced_names(Rate))
    ['rate.options.b1', 'rate.peak']
    """
    names = set()
    for field, kind in fields_of(settings):
        own = field.metadata.get("traced")
        if kind.section:
            names |= traced_names(kind.section)
        elif isinstance(own, tuple):
            names |= {settings.dotted(f"{field.name}.{name}") for name in own}
        elif field.name in traced_fields(settings):
            names.add(settings.dotted(field.name))
    return frozenset(names)
