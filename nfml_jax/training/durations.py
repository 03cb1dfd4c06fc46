"""Durations in the user's units, and the schedule that they give a run."""

import math
import re
from dataclasses import dataclass

from nfml_jax.errors import UserError

_DURATION = re.compile(r"\s*([0-9.eE+]+)\s*(step|epoch|example)s?\s*$")

MOST_STEPS = 2**31 - 1  # the train state counts them in an int32


def to_steps(
    duration: str | None, *, batch_size: int, examples: int, field: str
) -> int:
    """Convert `duration` to steps of `batch_size`: at least 1, or 0 for None.

    "10 epochs, at least 1000 steps" is the longer of the two, for data sets of
    different sizes. `examples` is the size of the training set (an epoch drops the
    incomplete last batch), or 0 for experiments without one, which have no epochs.
    `field` is the name of the config field in error messages.
    """
    if duration is None:
        return 0
    per_unit = {
        "step": 1.0,
        "epoch": float(examples // batch_size),
        "example": 1.0 / batch_size,
    }
    steps = []
    for part in str(duration).split(", at least "):
        match = _DURATION.match(part)
        try:
            amount = float(match.group(1)) if match else 0.0
        except ValueError:
            amount = 0.0
        if match is None or not (amount > 0 and math.isfinite(amount)):
            raise UserError(
                f"{field} = {duration!r} is not a duration; write for example "
                "'10 epochs', '500 steps', '60000 examples', or '10 epochs, at "
                "least 1000 steps'."
            )
        if match.group(2) == "epoch" and not examples:
            raise UserError(
                f"{field} = {duration!r} counts epochs, but this experiment draws what "
                "it trains on; write for example '500 steps'."
            )
        steps.append(max(1.0, amount * per_unit[match.group(2)]))
    if max(steps) > MOST_STEPS:
        raise UserError(
            f"{field} = {duration!r} is more than the {MOST_STEPS:,} steps that a run "
            "can count; shorten it."
        )
    return round(max(steps))


@dataclass(frozen=True)
class Schedule:
    """The steps at which a run logs, evaluates, saves and ends; 0 is never."""

    total: int
    log: int
    evaluate: int
    checkpoint: int
    patience: int = 0  # stop after this many validations without improvement
    window: int = 0  # steps whose data is loaded together

    def next_event(self, step: int) -> int:
        """Return the first step after `step` at which something is due."""
        periods = (self.log, self.evaluate, self.checkpoint, self.window)
        return min([self.total] + [(step // p + 1) * p for p in periods if p])

    def due(self, period: int, step: int) -> bool:
        """Return whether an event of every `period` steps, and of the end, is due."""
        return step == self.total or (bool(period) and step % period == 0)
