"""Several processes that train one run: joining, agreement, and signals."""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "guard": ["guard"],
        "interrupts": ["Interrupted", "Interrupts"],
        "processes": [
            "alone",
            "check_same",
            "is_first",
            "join",
            "largest",
            "leave",
            "own",
            "own_devices",
            "together",
        ],
    },
)
