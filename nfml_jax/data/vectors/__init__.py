"""Data sets of vectors by name: published tables, files, draws from known densities.

`load_vectors("red_wine")` finds, checks, splits and standardizes a set.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "arrays": ["LoadedVectors", "VectorData"],
        "context": ["Context"],
        "files": ["load_vector_file"],
        "load": ["VECTOR_DATASETS", "load_rows", "load_vectors"],
    },
)
