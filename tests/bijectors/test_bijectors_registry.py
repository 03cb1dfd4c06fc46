"""A map is a file and a line of a table; the rest follows from the table."""

import importlib
import pkgutil

import pytest

from nfml_jax import bijectors
from nfml_jax.bijectors import (
    BIJECTORS,
    DOMAIN_MAPS,
    IMAGE_BIJECTORS,
    TRANSFORMS,
    Bijector,
)
from nfml_jax.bijectors.transforms import ScalarTransform


def classes(base):
    """The classes of the room that no other class of it is derived from."""
    found = set()
    for module in pkgutil.walk_packages(bijectors.__path__, f"{bijectors.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {m for m in members if isinstance(m, type) and issubclass(m, base)}
    found = {kind for kind in found if kind.__module__.startswith("nfml_jax.bijec")}
    return {
        one for one in found if not any(one in other.__mro__[1:] for other in found)
    }


def test_every_bijector_has_a_line():
    listed = {e.kind for e in (BIJECTORS | IMAGE_BIJECTORS).values()}
    for kind in classes(Bijector) - listed:
        pytest.fail(
            f"{kind.__name__} of {kind.__module__} is not in the table of bijectors; "
            "import it in nfml_jax/bijectors/catalogue.py, or for images in "
            "nfml_jax/bijectors/catalogue_images.py, and give it a line in "
            f'BIJECTORS, such as "name": Entry(lambda conditional: {kind.__name__}())'
        )


def test_every_transform_has_a_line():
    listed = {*TRANSFORMS.values(), *DOMAIN_MAPS.values()}
    listed |= {
        type(getattr(e.make(False), "transform", None)) for e in BIJECTORS.values()
    }
    for kind in classes(ScalarTransform) - listed:
        pytest.fail(
            f"{kind.__name__} of {kind.__module__} is not in the tables of transforms; "
            "import it in nfml_jax/bijectors/transforms/__init__.py and give it a line "
            "in TRANSFORMS, or in DOMAIN_MAPS if it has no parameters"
        )


def test_entries_of_registries_are_public_names():
    kinds = {e.kind for e in (BIJECTORS | IMAGE_BIJECTORS).values()}
    for kind in kinds | {*TRANSFORMS.values(), *DOMAIN_MAPS.values()}:
        assert kind.__name__ in bijectors.__all__
        assert getattr(bijectors, kind.__name__) is kind
