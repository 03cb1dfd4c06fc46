"""Flows of images as vectors: they know nothing of neighboring pixels.

Their log-determinants need every number of an event at once, and so their layers map
images as vectors of H · W · C numbers. Further options of each are those of
`nfml_jax.flows.recipes.multiscale.flattened`.
"""

from typing import Any

from nfml_jax.bijectors import Planar, Sylvester
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes.multiscale import flattened
from nfml_jax.flows.recipes.stacked import amortized_by, passes_options_to


@passes_options_to(flattened)
def planar(event_shape, *, layers: int = 16, **options: Any) -> Flow:
    """Planar maps (Rezende & Mohamed 2015) of images as vectors.

    A density takes one pass; a draw solves one equation for each map. Each map bends
    along one direction of all pixels, so this is a baseline; `sylvester` bends along
    many.

    >>> planar((4, 4, 1), layers=4).event_shape
    (4, 4, 1)
    """
    return flattened(
        event_shape, [Planar(amortized_by(options))], layers=layers, **options
    )


@passes_options_to(flattened)
def sylvester(
    event_shape,
    *,
    layers: int = 4,
    basis: str = "householder",
    rank: int | None = 32,
    **options: Any,
) -> Flow:
    """Sylvester maps (van den Berg et al. 2018) of images as vectors.

    Each map bends along `rank` directions of all pixels. `basis` and `rank` are those
    of `nfml_jax.bijectors.Sylvester`.

    >>> sylvester((4, 4, 1), layers=2, rank=4).event_shape
    (4, 4, 1)
    """
    layer = [Sylvester(basis, rank, conditioner=amortized_by(options))]
    return flattened(event_shape, layer, layers=layers, **options)
