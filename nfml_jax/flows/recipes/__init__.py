"""Recipes: the architectures of the papers by name, with all their options.

To add one, write a function of `event_dim` in a file here, import it, and give it a
line in `RECIPES`. Exports, fields of configs, documentation and laws follow.

All take `event_dim`, and these options by keyword:

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

from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes import couplings, images
from nfml_jax.flows.recipes.couplings import circular_nsf, nice
from nfml_jax.flows.recipes.images import (
    IMAGE_RECIPES,
    glow,
    learned_noise,
    make_image_flow,
)
from nfml_jax.flows.recipes.masked_autoregressive import (
    bernstein,
    bnaf,
    iaf,
    maf,
    naf,
    sos,
    umnn,
)
from nfml_jax.flows.recipes.stacked import BASES, option_names
from nfml_jax.flows.recipes.whole_vector import (
    ffjord,
    gaussianization,
    independent,
    planar,
    residual,
    sylvester,
)
from nfml_jax.ops.names import look_up


def _also_of_images(vectors, images):
    """Return a recipe that takes `event_dim`, or the `event_shape` of images.

    Its options are those of `vectors` or those of `images`.
    """

    @functools.wraps(vectors)
    def recipe(event_dim: int | None = None, *, event_shape=None, **options) -> Flow:
        if event_shape is not None:
            return images(event_shape, **options)
        return vectors(event_dim, **options)

    recipe.__doc__ = f"""{vectors.__doc__}
    Given `event_shape=(H, W, C)` it is a flow of images with other options:
    `{", ".join(option_names(images))}`, see `IMAGE_RECIPES`.
    """
    return recipe


realnvp = _also_of_images(couplings.realnvp, images.realnvp)
rq_nsf = _also_of_images(couplings.rq_nsf, images.rq_nsf)
flowpp = _also_of_images(couplings.flowpp, images.flowpp)

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
    known = dict.fromkeys(option_names(function))
    for option in options:
        look_up(known, option, f"option of recipe {recipe!r}:")
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
    *RECIPES,
]
