"""Sweeps: one config run many times, on this machine, on Ray or on SLURM.

`param`, `product`, `zip_` and `chain` write the overrides of a sweep; `make_trials`
names its runs; `run_trials` runs them by an executor of `EXECUTORS`. A `Search` chooses
the values of later trials from the results of earlier ones (`run_search`). Runs that
differ only in numbers train as one program (`run_group`).
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "asking": ["run_search"],
        "executors": ["EXECUTORS", "Executor", "Options", "make_executor"],
        "inline": ["parse_sweep"],
        "jobs": ["Job", "run_job"],
        "overrides": [
            "Trial",
            "chain",
            "make_trials",
            "overlay",
            "param",
            "product",
            "zip_",
        ],
        "searches": ["Search", "choose", "search"],
        "programs": ["grouped", "traced_fields"],
        "trials": ["listing", "plan", "run_trials"],
        "vmapped": ["run_group"],
    },
)
