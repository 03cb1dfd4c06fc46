"""Normalizing flows and deep metric learning in JAX: a library and a laboratory.

Import what you need from its rooms (`nfml_jax.heads`, `nfml_jax.nets`, ...);
`nfml_jax.load(run_dir)` gives a trained model back as pure functions.
"""

from nfml_jax.version import __version__

__all__ = ["__version__", "load"]


def __getattr__(name):
    # Lazily, so that `import nfml_jax.heads` doesn't pull in checkpoints and data.
    if name == "load":
        from nfml_jax.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
