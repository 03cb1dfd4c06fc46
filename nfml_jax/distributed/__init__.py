"""Several processes that train one run: joining, agreement, and signals."""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "guard": ["guard"],
        "interrupts": ["Interrupted", "Interrupts"],
        "processes": [
            "is_single_process",
            "check_same",
            "is_first",
            "join",
            "max_over_processes",
            "leave",
            "local_copy",
            "local_devices",
            "raise_in_all",
        ],
    },
)
