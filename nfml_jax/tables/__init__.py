"""Tables of text, Parquet and arrays, read into named columns.

`read_table` reads a file of any of these kinds; `choose_columns` takes columns by name,
number, range or list; `dependences`, `grid_step` and `center_and_scale` find columns
without a density.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "chosen_columns": ["Chosen", "choose_columns"],
        "dependence": ["dependences"],
        "reader": ["read_table", "read_text_table"],
        "table": ["Table"],
        "scales": ["center_and_scale"],
        "steps": ["grid_step", "is_stepped"],
    },
)
