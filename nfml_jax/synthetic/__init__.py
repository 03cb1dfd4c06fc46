"""Data that are computed, not read: densities of the plane, and synthetic identities.

`DENSITIES` are two-dimensional densities with known likelihoods, and `draw` samples
them; `picture` makes one of an image. `Identities` are classes in any number.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "families": ["Density"],
        "identities": ["Identities"],
        "plane": ["DENSITIES", "SPLITS", "draw", "picture"],
    },
)
