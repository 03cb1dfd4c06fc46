"""A recipe is a function and a line of a table; the rest follows from the table."""

import importlib
import inspect
import pkgutil

import pytest

from nfml_jax import flows
from nfml_jax.flows import RECIPES, recipes


def functions():
    """Return the public functions of the recipes' files that take an event_dim only."""
    for module in pkgutil.iter_modules(recipes.__path__, f"{recipes.__name__}."):
        for name, what in vars(importlib.import_module(module.name)).items():
            if not inspect.isfunction(what) or what.__module__ != module.name:
                continue
            needed = [
                parameter.name
                for parameter in inspect.signature(what).parameters.values()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ]
            if needed == ["event_dim"] and not name.startswith("_"):
                yield what


def test_every_recipe_has_a_line():
    for function in functions():
        if function not in RECIPES.values():
            pytest.fail(
                f"{function.__name__} of {function.__module__} is not in the table of "
                "recipes; import it in nfml_jax/flows/recipes/__init__.py and give it "
                f'a line in RECIPES, such as "{function.__name__}": '
                f"{function.__name__}"
            )


def test_a_recipe_is_a_public_name():
    assert RECIPES
    for name, recipe in RECIPES.items():
        assert name in flows.__all__ and getattr(flows, name) is recipe
