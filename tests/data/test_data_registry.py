"""A data set is a function and a line of a table."""

import functools
import importlib
import inspect
import pkgutil

import pytest

from nfml_jax import data
from nfml_jax.data import DATASETS
from nfml_jax.data.catalogue import load_catalogue
from nfml_jax.data.vectors.load import VECTOR_DATASETS, load_rows

TABLES = {
    "Loaded": ("DATASETS of nfml_jax/data/__init__.py", DATASETS),
    "LoadedVectors": (
        "VECTOR_DATASETS of nfml_jax/data/vectors/load.py",
        VECTOR_DATASETS,
    ),
}
# The function behind "tfds:NAME", and the one that looks names up.
BEHIND_NAMES = load_catalogue, load_rows


def loaders():
    """Return the public functions that load a data set, with the kind they return."""
    for module in pkgutil.walk_packages(data.__path__, f"{data.__name__}."):
        for what in vars(importlib.import_module(module.name)).values():
            own = inspect.isfunction(what) and what.__module__ == module.name
            if own and what.__name__.startswith("load_"):
                kind = inspect.signature(what).return_annotation
                yield what, getattr(kind, "__name__", kind)


def plain(loader):
    while isinstance(loader, functools.partial):
        loader = loader.func
    return loader


def test_every_data_set_has_a_line():
    found = [(f, kind) for f, kind in loaders() if kind in TABLES]
    assert len(found) > 8
    for function, kind in found:
        where, table = TABLES[kind]
        if function not in [*map(plain, table.values()), *BEHIND_NAMES]:
            pytest.fail(
                f"{function.__name__} of {function.__module__} is not in a table; give "
                f'it a line in {where}, such as "name": {function.__name__}'
            )


@pytest.mark.parametrize("kind", TABLES)
def test_arguments_of_loaders_are_fields_of_a_config(kind):
    for name, loader in TABLES[kind][1].items():
        for parameter in inspect.signature(loader).parameters.values():
            assert parameter.kind is parameter.KEYWORD_ONLY, f"{name}: {parameter}"
