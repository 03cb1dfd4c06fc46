"""The baselines in the records of runs, as records of their own."""

from collections.abc import Iterable, Mapping, Sequence

from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean

TEST = "test"


def baseline_records(records: Sequence[Mapping], names: Iterable[str]) -> list[dict]:
    """Return a record for each baseline and each set of values that it has.

    A run's metric "bz2/bits_per_dim" is "test/bits_per_dim", or "bits_per_dim", of the
    baseline "bz2". Runs on the same data share their baselines, which are one record:
    the first one's, as values may differ after nine digits.

    Args:
      records: The records of runs.
      names: The names of baselines, the first parts of their metrics.

    Raises:
      UserError: for a name that no run has.

    >>> run = {"name": "a", "status": "done", "seed": 0, "data": {"name": "mnist"}}
    >>> run["metrics"] = {"test/bits_per_dim": 1.2, "bz2/bits_per_dim": 1.4}
    >>> (found,) = baseline_records([run, run], ["bz2"])
    >>> found["name"], found["metrics"]["test/bits_per_dim"]
    ('bz2', 1.4)
    """
    known = {
        metric.split("/")[0]
        for record in records
        for metric in record.get("metrics", {})
        if "/" in metric
    } - {TEST}
    found: dict[tuple, dict] = {}
    for name in names:
        if name not in known:
            raise UserError(
                f"no run has a baseline {name!r}{did_you_mean(name, known)}; the first "
                f"parts of their metrics are {', '.join(sorted(known)) or 'none'}."
            )
        for record in records:
            values = {
                metric.removeprefix(f"{name}/"): value
                for metric, value in record.get("metrics", {}).items()
                if metric.startswith(f"{name}/")
            }
            values |= {f"{TEST}/{metric}": value for metric, value in values.items()}
            # Sums differ in their last digits between machines.
            rounded = sorted((m, f"{value:.9g}") for m, value in values.items())
            key = name, record["data"]["name"], tuple(rounded)
            if values:
                # Its time, steps and parameters are not those of the run.
                facts = {fact: record[fact] for fact in ("status", "seed", "data")}
                facts |= {"name": name, "config": {}, "metrics": values}
                found.setdefault(key, facts)
    return list(found.values())
