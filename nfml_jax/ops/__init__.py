"""Pure functions that several rooms share; this room imports none of them.

| module | gives |
|---|---|
| `checks` | checks of options, each a sentence |
| `labels`, `embeddings` | the border of class labels and of embeddings |
| `events` | broadcasting of events and contexts |
| `broadcasting` | broadcasting where a user has JAX refuse it |
| `values` | modules as hashable values |
| `angles`, `distances` | norms and distances of vectors of any length |
| `masked_reductions` | reductions under a mask |
| `control_flow` | loops inside and outside a mapped step |
| `devices` | gathering and averaging over a device axis |
| `batches` | a function over many rows in bounded memory |
| `fields` | fields of settings that a program may trace |
| `names` | looking names up, with "did you mean" |
| `units` | numbers in words |
| `lazy` | packages whose names are imported on first use |
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    dict.fromkeys(
        (
            "angles",
            "batches",
            "broadcasting",
            "checks",
            "control_flow",
            "devices",
            "distances",
            "embeddings",
            "events",
            "fields",
            "labels",
            "lazy",
            "masked_reductions",
            "names",
            "units",
            "values",
        ),
        (),
    ),
)
