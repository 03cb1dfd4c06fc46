"""Searches: trials whose values optuna chooses from the results of earlier ones.

A sweep's file returns a `Search` in place of a list of overrides:

    def get_sweep():
        return Search(search("head.margin", 0.1, 0.6), trials=12)

`nfml_jax.sweeps.asking` runs it, by any executor.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_choice, check_integer, check_number
from nfml_jax.sweeps.overrides import Sweep, product


@dataclass(frozen=True)
class Range:
    """The values of a field from `low` to `high`, integers if both are."""

    name: str
    low: float
    high: float
    log: bool

    def ends(self) -> tuple[Any, Any]:
        return self.low, self.high

    def distribution(self, optuna):
        both = isinstance(self.low, int) and isinstance(self.high, int)
        kind = "IntDistribution" if both else "FloatDistribution"
        return getattr(optuna.distributions, kind)(self.low, self.high, log=self.log)

    def words(self) -> str:
        scale = ", by the logarithm" if self.log else ""
        return f"{self.name} from {self.low} to {self.high}{scale}"


@dataclass(frozen=True)
class Choice:
    """A field with a few values: numbers, texts, booleans or None."""

    name: str
    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, Any]:
        return self.values[0], self.values[-1]

    def distribution(self, optuna):
        return optuna.distributions.CategoricalDistribution(self.values)

    def words(self) -> str:
        return f"{self.name} of {', '.join(map(repr, self.values))}"


def search(name: str, low: float, high: float, *, log: bool = False) -> Range:
    """Return a field to search from `low` to `high`, evenly in the logarithm if `log`.

    >>> search("optimizer.learning_rate", 1e-4, 1e-2, log=True).words()
    'optimizer.learning_rate from 0.0001 to 0.01, by the logarithm'
    """
    first: dict[str, Any] = {name: low}
    last: dict[str, Any] = {name: high}
    check_number(None, above=0 if log else -math.inf, **first)
    check_number(None, above=low, **last)
    return Range(name, low, high, log)


def choose(name: str, *values: Any) -> Choice:
    """Return a field to search among a few values.

    >>> choose("head.name", "arcface", "cosface").words()
    "head.name of 'arcface', 'cosface'"
    """
    if len(values) < 2:
        raise UserError(f"choose({name!r}) has {len(values)} values; give two or more.")
    for value in values:
        if not isinstance(value, int | float | str | None):
            raise UserError(
                f"choose({name!r}) has the value {value!r}; give numbers, texts, "
                "booleans or None."
            )
    return Choice(name, values)


@dataclass(frozen=True, init=False)
class Search:
    """Fields to search, and the metric by which trials are compared.

    Attributes:
      fields: ranges and choices, by `search` and `choose`.
      metric: the metric by which trials are compared, one of validation, since a test
        set that chose values measures nothing any more.
      trials: the number of trials to run in all. mode: "max" or "min". seed: of the
      choices; the trials' seed is their config's. prune: whether a trial ends early
      that is worse than the median of the finished
        ones at the same step.
      fixed: overrides of every trial.
    """

    fields: tuple[Range | Choice, ...]
    metric: str
    trials: int
    mode: str
    seed: int
    prune: bool
    fixed: Mapping[str, Any]

    def __init__(
        self,
        *fields: Range | Choice,
        metric: str = "validation/accuracy",
        trials: int = 20,
        mode: str = "max",
        seed: int = 0,
        prune: bool = True,
        fixed: Mapping[str, Any] | None = None,
    ):
        if not fields:
            raise UserError("a Search has no fields; give it search(NAME, LOW, HIGH).")
        if metric.startswith("test/"):
            raise UserError(
                f"metric = {metric!r} is of the test set, which must not choose; give "
                "one of validation, such as 'validation/accuracy'."
            )
        check_integer(None, 1, trials=trials)
        check_integer(None, 0, seed=seed)
        check_choice(None, ("max", "min"), mode=mode)
        for name, value in (
            ("fields", fields),
            ("metric", metric),
            ("trials", trials),
            ("mode", mode),
            ("seed", seed),
            ("prune", prune),
            ("fixed", dict(fixed or {})),
        ):
            object.__setattr__(self, name, value)

    def examples(self) -> Sweep:
        """Return two overrides, with the first and with the last value of each field.

        They show whether a config has the fields, and takes such values.
        """
        ends = [[{f.name: end} for end in f.ends()] for f in self.fields]
        return [product([dict(self.fixed)], *([e[i]] for e in ends))[0] for i in (0, 1)]

    def words(self) -> str:
        """Return the fields of the search and their ranges in words."""
        fields = "; ".join(field.words() for field in self.fields)
        return f"a search of {self.trials} trials by {self.metric} over {fields}"
