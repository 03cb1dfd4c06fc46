"""A recipe is a function and a line of a table; the rest follows from the table."""

import importlib
import inspect
import pkgutil

import pytest

from nfml_jax import flows
from nfml_jax.flows import IMAGE_RECIPES, RECIPES, recipes


def functions(argument):
    """Return the public functions of the recipes' files that need `argument` only."""
    for module in pkgutil.iter_modules(recipes.__path__, f"{recipes.__name__}."):
        for name, what in vars(importlib.import_module(module.name)).items():
            if not inspect.isfunction(what) or what.__module__ != module.name:
                continue
            needed = [
                parameter.name
                for parameter in inspect.signature(what).parameters.values()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ]
            if needed == [argument] and not name.startswith("_"):
                yield what


TABLES = {
    "event_dim": (RECIPES, "RECIPES in nfml_jax/flows/recipes/__init__.py"),
    "event_shape": (IMAGE_RECIPES, "IMAGE_RECIPES in nfml_jax/flows/recipes/images.py"),
}


@pytest.mark.parametrize("argument", TABLES)
def test_every_recipe_has_a_line(argument):
    table, place = TABLES[argument]
    known = [inspect.unwrap(recipe) for recipe in table.values()]
    for function in functions(argument):
        if function not in known:
            pytest.fail(
                f"{function.__name__} of {function.__module__} is not in the table of "
                f'recipes; give it a line "{function.__name__}": {function.__name__} '
                f"in {place}"
            )


def test_a_recipe_is_a_public_name():
    assert RECIPES
    for name, recipe in RECIPES.items():
        assert name in flows.__all__ and getattr(flows, name) is recipe
