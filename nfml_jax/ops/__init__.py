"""Pure functions that several rooms share; this room imports none of them.

| module | gives |
|---|---|
| `checks` | checks of options, each with a one-sentence error |
| `scalars` | numbers of any library, known or traced |
| `labels`, `embeddings` | the border of class labels and of embeddings |
| `events` | events and contexts as arrays that broadcast |
| `levels` | the border of pictures of integer levels |
| `broadcasting` | broadcasting even if a user has JAX refuse it |
| `values` | modules as hashable values |
| `angles`, `distances` | norms, angles and distances of vectors of any length |
| `precision` | the precision that maps compute in |
| `masked_reductions` | means and log-sum-exps under a mask |
| `control_flow` | loops inside and outside a mapped step |
| `devices` | gathering and averaging over a device axis |
| `batches` | a function over many rows in bounded memory |
| `extras` | packages that only some parts need |
| `fields` | fields of settings that a program may trace |
| `names` | lookups by name, with "did you mean" |
| `units` | numbers for people to read |
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
            "extras",
            "fields",
            "labels",
            "lazy",
            "levels",
            "masked_reductions",
            "names",
            "precision",
            "scalars",
            "units",
            "values",
        ),
        (),
    ),
)
