"""Pictures of integer levels, for densities of pixels.

`load_pixels("mnist")` finds a set, sets a validation part aside and checks it; `move`
shifts and mirrors pictures on the device.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "arrays": ["PixelData"],
        "load": ["PIXEL_DATASETS", "load_pixels"],
        "moves": ["move"],
    },
)
