"""The terminal: header, progress and results of a run, and the view of a sweep."""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "progress": ["LiveProgress", "PlainProgress", "Progress"],
        "sweep_view": ["SweepView"],
        "terminal": ["Terminal", "silent"],
        "trial_progress": ["Standing", "TrialTerminal", "standing"],
    },
)
