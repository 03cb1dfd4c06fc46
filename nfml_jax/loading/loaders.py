"""The loaders of trained models by their names, as runs store them."""

import importlib
from collections.abc import Callable
from typing import Any

from nfml_jax.errors import UserError

Loader = Callable[[dict, Any, dict, dict | None], Any]

# Name -> the loader, or its import path, so that a flow is loaded without the encoders.
# An experiment outside this package adds its own: LOADERS["mine"] = function.
LOADERS: dict[str, Loader | str] = {
    "classifier": "nfml_jax.loading.embedders:load_classifier",
    "embedder": "nfml_jax.loading.embedders:load_learner",
    "flow": "nfml_jax.loading.flows:load_flow",
    "pixels": "nfml_jax.loading.pixels:load_pixels",
    "metric": "nfml_jax.loading.metrics:load_metric",
}

# The values that runs stored before loaders had names.
EARLIER = {
    "nfml_jax.trained:load_classifier": "classifier",
    "nfml_jax.trained:load_learner": "embedder",
    "nfml_jax.flows.trained:load_flow": "flow",
    "nfml_jax.metrics.trained:load_metric": "metric",
}


def find_loader(name: Any) -> Loader:
    """Return the loader of a name that a run stored; UserError for any other value."""
    known = isinstance(name, str) and LOADERS.get(EARLIER.get(name, name))
    if not known:
        raise UserError(
            f"loader {name!r} is not known; known are: {', '.join(sorted(LOADERS))}. "
            "A run of another project is loaded after that has set LOADERS[name] in "
            "nfml_jax.loading."
        )
    if callable(known):
        return known
    module, function = known.split(":")
    return getattr(importlib.import_module(module), function)
