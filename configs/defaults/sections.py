"""ConfigDicts made from settings, with fields that a command line overrides."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference

from nfml_jax.ops.settings import Kind, Settings, kinds_of


def as_config(settings: Settings) -> ConfigDict:
    """Return a ConfigDict of all fields of a section, and of those within it.

    An optional field keeps its type while it is None, so that a command line can set
    it. The value of a field of several types is written as in Python.
    """
    kinds, config = dict(kinds_of(type(settings))), ConfigDict()
    for name, value in settings.to_config().items():
        own = getattr(settings, name, None)
        nested = isinstance(own, Settings)
        config[name] = as_config(own) if nested else _field(value, kinds.get(name))
    return config


def give_types(config: ConfigDict, settings: type[Settings]) -> None:
    """Give the fields of a config the types that its sections' settings declare."""
    for name, kind in kinds_of(settings):
        value = config.get(name)
        if isinstance(value, ConfigDict):
            if kind.section:
                give_types(value, kind.section)
        elif name in config and not kind.section:
            del config[name]
            config[name] = _field(value, kind)


def _field(value: Any, kind: Kind | None) -> Any:
    if isinstance(value, Mapping):
        return ConfigDict(dict(value))
    if kind is None or (len(kind.types) == 1 and not kind.optional):
        return value
    # Of a size that is a number or "48x64" the command line decides the type.
    if value is None and str in kind.types[1:]:
        return FieldReference(None, field_type=object)
    if value is None or len(kind.types) == 1:
        return FieldReference(value, field_type=kind.types[0])
    number_or_word = isinstance(value, float) and str in kind.types
    return FieldReference(value, field_type=object) if number_or_word else value
