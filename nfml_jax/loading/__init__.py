"""Trained models, restored from their run directories.

`load(run)` restores a checkpoint and passes it to the loader that the run names.
Loaders are the short names of `LOADERS`: a run directory is data, and loading one never
imports or calls what it names.
"""

from nfml_jax.loading.loaders import LOADERS, find_loader
from nfml_jax.loading.run import config_of, data_of, load, load_embedder

__all__ = ["LOADERS", "config_of", "data_of", "find_loader", "load", "load_embedder"]
