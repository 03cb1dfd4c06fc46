"""Recipes: the architectures of the papers by name, with all their options.

To add one, write a function of `event_dim` in a file here, import it, and give it a
line in `RECIPES`. Exports, fields of configs, documentation and laws follow.

Recipes of images are functions of `event_shape` in the files `image_*.py`, with a line
in `IMAGE_RECIPES`. A recipe of both takes `event_dim=D` or `event_shape=(H, W, C)`.

All of vectors take `event_dim`, and these options by keyword:

- `context_dim`: the size of the context of a conditional density, 0 for none;
- `base`: a module of `nfml_jax.flows.bases`, or the name of one in `BASES`;
- `layers`: the number of layers;
- `memory`: what the layers store for the gradient, as `nfml_jax.bijectors.Stack` says;
- `fast`: the direction that evaluates the layers as they are written, "log_prob" for
  learning densities or "sample" for variational inference. The other direction inverts
  them. This costs more (splines), much more (autoregressive maps) or needs iterations
  (monotone networks, residual maps).
"""

import functools
from collections.abc import Callable
from typing import Any

from nfml_jax.errors import UserError
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes import (
    couplings,
    images,
    masked_autoregressive,
    whole_vector,
)
from nfml_jax.flows.recipes.images import (
    IMAGE_RECIPES,
    learned_noise,
    make_image_flow,
)
from nfml_jax.flows.recipes.stacked import BASES, option_names
from nfml_jax.ops.names import check_names, look_up


def _of(vectors: Callable, images: Callable | None = None) -> Callable:
    """Return a recipe that takes `event_dim`, or the `event_shape` of images.

    Its options are those of `vectors` or those of `images`, if there are any of images.
    """

    @functools.wraps(vectors)
    def recipe(event_dim: int | None = None, *, event_shape=None, **options) -> Any:
        name = vectors.__name__
        if event_shape is not None and event_dim is not None:
            raise UserError(
                f"{name} got event_dim={event_dim} and event_shape={event_shape}; give "
                "event_dim of vectors, or event_shape of images."
            )
        if event_shape is None:
            return vectors(event_dim, **options)
        if images is None:
            raise UserError(
                f"{name} is a flow of vectors and got event_shape={event_shape}; give "
                f"event_dim, or take a recipe of images: {', '.join(IMAGE_RECIPES)}."
            )
        return images(event_shape, **options)

    if images is not None:
        recipe.__doc__ = f"""{vectors.__doc__}
    Given `event_shape=(H, W, C)` it is a flow of images with other options:
    `{", ".join(option_names(images))}`, see `IMAGE_RECIPES`.
    """
    return recipe


def _of_images(images: Callable) -> Callable:
    """Return a recipe of images that refuses the `event_dim` of vectors."""

    @functools.wraps(images)
    def recipe(event_shape=None, *, event_dim: int | None = None, **options) -> Any:
        if event_shape is None or event_dim is not None:
            raise UserError(
                f"{images.__name__} is a flow of images and got event_dim={event_dim}; "
                f"give event_shape=(H, W, C), or take a recipe of vectors: "
                f"{', '.join(RECIPES)}."
            )
        return images(event_shape, **options)

    return recipe


independent = _of(whole_vector.independent)
nice = _of(couplings.nice, IMAGE_RECIPES["nice"])
realnvp = _of(couplings.realnvp, IMAGE_RECIPES["realnvp"])
maf = _of(masked_autoregressive.maf, IMAGE_RECIPES["maf"])
iaf = _of(masked_autoregressive.iaf)
rq_nsf = _of(couplings.rq_nsf, IMAGE_RECIPES["rq_nsf"])
naf = _of(masked_autoregressive.naf)
umnn = _of(masked_autoregressive.umnn)
sos = _of(masked_autoregressive.sos)
bernstein = _of(masked_autoregressive.bernstein)
flowpp = _of(couplings.flowpp, IMAGE_RECIPES["flowpp"])
gaussianization = _of(whole_vector.gaussianization)
bnaf = _of(masked_autoregressive.bnaf)
residual = _of(whole_vector.residual, IMAGE_RECIPES["residual"])
ffjord = _of(whole_vector.ffjord, IMAGE_RECIPES["ffjord"])
circular_nsf = _of(couplings.circular_nsf)
planar = _of(whole_vector.planar, IMAGE_RECIPES["planar"])
sylvester = _of(whole_vector.sylvester, IMAGE_RECIPES["sylvester"])


glow = _of_images(images.glow)
pixel_cnn = _of_images(images.pixel_cnn)

RECIPES = {
    "independent": independent,
    "nice": nice,
    "realnvp": realnvp,
    "maf": maf,
    "iaf": iaf,
    "rq_nsf": rq_nsf,
    "naf": naf,
    "umnn": umnn,
    "sos": sos,
    "bernstein": bernstein,
    "flowpp": flowpp,
    "gaussianization": gaussianization,
    "bnaf": bnaf,
    "residual": residual,
    "ffjord": ffjord,
    "circular_nsf": circular_nsf,
    "planar": planar,
    "sylvester": sylvester,
}


def make_flow(recipe: str, event_dim: int, **options) -> Flow:
    """Return the flow of a config's "flow" section.

    Args:
      recipe: A name of `RECIPES`.
      event_dim: The number of coordinates of an event.
      **options: Options of that recipe.

    Raises:
      UserError: The recipe or an option is unknown, or an option's value is invalid.

    >>> make_flow("maf", 2, layers=3, hidden=(16,)).event_dim
    2
    """
    function = look_up(RECIPES, recipe, "recipe")
    check_names(options, option_names(function), f"option of recipe {recipe!r}:")
    return function(event_dim, **options)


__all__ = [
    "BASES",
    "IMAGE_RECIPES",
    "RECIPES",
    "glow",
    "learned_noise",
    "make_flow",
    "make_image_flow",
    "option_names",
    "pixel_cnn",
    *RECIPES,
]
