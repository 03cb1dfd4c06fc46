"""Run directories: their files, and the tables and curves made from their results.

| module | content |
|---|---|
| `run_directory` | the directory of a run, and the lock of its one writer |
| `run_files`, `file_fields` | its JSON files, checked when they are read |
| `writers`, `events`, `projector` | `metrics.jsonl` and TensorBoard |
| `trackers` | wandb, mlflow and trackio beside them |
| `pruning` | limits by which a search ends a run |
| `provenance` | versions, devices and the revision of the source |
| `migrations` | updates of configs of earlier versions |
| `records`, `replicates`, `tables`, `formats`, `curves`, `significance` | tables |
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "curves": ["curves"],
        "events": ["EventWriter"],
        "formats": ["FORMATS"],
        "migrations": ["MIGRATIONS", "up_to_date"],
        "projector": ["write_embedding"],
        "provenance": ["device_description", "revision", "versions"],
        "records": [
            "RESULTS_FILE",
            "find_results",
            "quantity",
            "read_run",
            "unfinished",
        ],
        "replicates": ["Group", "group", "half_width"],
        "run_directory": ["InUse", "RunDirectory"],
        "run_files": ["read_config", "read_result", "read_status_file"],
        "significance": ["even_with_best", "welch"],
        "tables": ["Table", "grid", "metrics_of", "table"],
        "writers": ["RunWriter", "read_metrics"],
    },
)
