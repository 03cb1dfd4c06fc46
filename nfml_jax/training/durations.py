"""Durations in the unit the user likes: "10 epochs", "500 steps", "6e4 examples"."""

import math
import re

from nfml_jax.errors import UserError

_DURATION = re.compile(r"\s*([0-9.eE+]+)\s*(step|epoch|example)s?\s*$")


def to_steps(duration: str, *, batch_size: int, examples: int, field: str) -> int:
    """`duration` in steps of `batch_size`, at least 1, or 0 for "never".

    "10 epochs, at least 1000 steps" is the longer of the two, for data sets of unlike
    size. `examples` is the size of the training set (an epoch drops the incomplete last
    batch); `field` is the config field's name, for the error message.
    """
    if duration.strip() == "never":
        return 0
    per_unit = {
        "step": 1.0,
        "epoch": float(examples // batch_size),
        "example": 1.0 / batch_size,
    }
    steps = []
    for part in duration.split(", at least "):
        match = _DURATION.match(part)
        try:
            amount = float(match.group(1)) if match else 0.0
        except ValueError:
            amount = 0.0
        if not (amount > 0 and math.isfinite(amount)):
            raise UserError(
                f"{field} = {duration!r} is not a duration; write for example "
                "'10 epochs', '500 steps', '60000 examples', '10 epochs, at least "
                "1000 steps' or 'never'."
            )
        steps.append(max(1, round(amount * per_unit[match.group(2)])))
    return max(steps)
