"""Flows of images `[..., H, W, C]` with pixels in (0, 1): the table and the noise.

The parts that recipes share are in `nfml_jax.flows.recipes.multiscale`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from nfml_jax.bijectors import (
    Affine,
    Bijector,
    Conjugate,
    Dequantize,
    Pad,
    Squeeze,
)
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.recipes.image_couplings import (
    flowpp,
    glow,
    nice,
    pair,
    realnvp,
    rq_nsf,
)
from nfml_jax.flows.recipes.image_maps import ffjord, maf, pixel_cnn, residual
from nfml_jax.flows.recipes.image_vectors import planar, sylvester
from nfml_jax.flows.recipes.multiscale import repeated
from nfml_jax.flows.recipes.stacked import option_names
from nfml_jax.flows.recipes.uva import masked_couplings, uva
from nfml_jax.ops.checks import DEEPEST, check_flag, check_integer, check_kind
from nfml_jax.ops.modules import any_part
from nfml_jax.ops.names import check_names, look_up

IMAGE_RECIPES = {
    "nice": nice,
    "realnvp": realnvp,
    "glow": glow,
    "rq_nsf": rq_nsf,
    "flowpp": flowpp,
    "maf": maf,
    "pixel_cnn": pixel_cnn,
    "residual": residual,
    "ffjord": ffjord,
    "planar": planar,
    "sylvester": sylvester,
    "uva": uva,
}


def learned_noise(
    *,
    steps: int = 2,
    net: str = "glow",
    hidden: int = 32,
    max_log_scale: float = 3.0,
    masked: bool = False,
) -> Bijector:
    """Return the bijector of variational dequantization (Ho et al. 2019, Flow++).

    Each of `steps` steps maps one color of a checkerboard, then the other, given the
    image as a feature map; a new one is the identity, which is uniform noise. `net` is
    a name of `nfml_jax.nets.images.IMAGE_CONDITIONERS`, and `hidden` its width. The
    images' sides are even, at least with the `border` of the `Dequantize`. With
    `masked` the networks see images with holes, as in `nfml_jax.flows.recipes.uva`, and
    learn the bounds of their log-scales.

    >>> from nfml_jax.bijectors import Dequantize
    >>> Dequantize(levels=256, noise=learned_noise(steps=1)).noise.event_ndim
    3
    """
    check_integer("the noise", 1, DEEPEST, steps=steps)
    check_flag("the noise", masked=masked)
    if masked:
        return masked_couplings(2 * int(steps), net=net, hidden=hidden)
    couplings = pair(Affine(max_log_scale), net, hidden=hidden)
    return Conjugate(Squeeze(2, "diagonal"), repeated(couplings, steps, "keep"))


def make_image_flow(
    event_shape: tuple[int, int, int],
    flow: Mapping[str, Any],
    *,
    levels: int = 256,
    noise: Mapping[str, Any] | None = None,
    context_dim: int = 0,
) -> Quantized:
    """Return the flow of images of a config: a recipe with options, and its noise.

    Args:
      event_shape: `(H, W, C)`.
      flow: {"recipe": a name of `IMAGE_RECIPES`, ...options}.
      levels: The number of values that a pixel can have.
      noise: The options of `learned_noise`; uniform noise without, or if its "steps"
        are None.
      context_dim: The size of a context, 0 for none.

    Raises:
      UserError: A name is unknown, or an option's value is invalid.

    >>> model = make_image_flow((8, 8, 1), {"recipe": "glow", "levels": 1}, levels=17)
    >>> model.flow.event_shape
    (8, 8, 1)
    """
    check_kind("the flow", Mapping, optional=True, noise=noise)
    options = dict(flow)
    recipe = look_up(IMAGE_RECIPES, options.pop("recipe", None), "recipe of images")
    kind = f"option of recipe {flow['recipe']!r}:"
    check_names(options, option_names(recipe), kind)
    drawn = border = None
    if noise and noise.get("steps") is not None:
        known = inspect.signature(learned_noise).parameters
        check_names(noise, known, "option of noise:")
        drawn = learned_noise(**noise)
        border = None if noise.get("masked") else _border(event_shape)
    density = recipe(event_shape, context_dim=context_dim, **options)
    levels_of = Dequantize(levels=levels, noise=drawn, border=border)
    maps = density.maps if isinstance(density, Quantized) else ()
    inner = density.flow if isinstance(density, Quantized) else density
    draws = any_part(inner, lambda part: getattr(part, "estimates", False))
    return Quantized(inner, (*maps, levels_of) if maps else levels_of, estimate=draws)


def _border(event_shape: tuple[int, int, int]) -> Pad | None:
    """Return the border that makes an image's sides even, None if they are."""
    rows, columns = (side % 2 for side in event_shape[:2])
    return Pad(rows=rows, columns=columns, noise="uniform") if rows or columns else None
