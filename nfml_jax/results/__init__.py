"""Records of runs, and the tables and curves made from them alone.

`python -m nfml_jax.results RUNS...` makes them; see `nfml_jax.results.__main__`.
"""

from nfml_jax.results.groups import Group, group
from nfml_jax.results.records import (
    RESULTS_FILE,
    find_results,
    quantity,
    read_run,
    unfinished,
)
from nfml_jax.results.tables import Table, grid, metrics_of, table

__all__ = [
    "RESULTS_FILE",
    "Group",
    "Table",
    "find_results",
    "grid",
    "group",
    "metrics_of",
    "quantity",
    "read_run",
    "table",
    "unfinished",
]
