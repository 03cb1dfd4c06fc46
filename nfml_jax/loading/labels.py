"""The classes that a caller names, as inputs of a class-conditional flow."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.ops.labels import check_labels
from nfml_jax.ops.names import did_you_mean

LISTED = 12
"""The most classes that an error lists."""


def encode_labels(context: Context | None, labels: Any, count: int) -> np.ndarray:
    """Return the input of a class-conditional flow, float32 `[count, classes]`.

    Args:
      context: The classes of the flow, or None if it has none.
      labels: The class of all examples or of each `[count]`, by number or by name.
      count: The number of examples.

    Raises:
      UserError: for labels that are not given, not known or not as many, and for any
        label of a flow without classes.

    >>> digits = Context(classes=("zero", "one"), prior=(0.5, 0.5))
    >>> encode_labels(digits, "one", 2)
    array([[0., 1.],
           [0., 1.]], dtype=float32)
    """
    if context is None or not context.classes:
        raise UserError(
            f"the label {_short(labels)} has no effect, since this flow is not "
            "class-conditional; leave it out, or train a flow with "
            "--config.class_conditional=True."
        )
    if labels is None:
        raise UserError(
            "this flow is conditional on the class and got none; give "
            f"context=LABEL, one of {listed(context.classes)}, or one for each image."
        )
    given = np.asarray(labels)
    if given.dtype.kind in "OUS":
        flat = [number_of(context.classes, name) for name in given.ravel()]
        given = np.array(flat, np.int32).reshape(given.shape)
    if not given.ndim:
        given = np.repeat(given[None], count)
    given = check_labels(given, count, len(context.classes), "the labels")
    return np.eye(len(context.classes), dtype=np.float32)[given]


def number_of(classes: Sequence[str], name: Any) -> int:
    """Return the number of a class by its name or its number; UserError for neither.

    >>> number_of(("cat", "dog"), "dog"), number_of(("cat", "dog"), "0")
    (1, 0)
    """
    text = str(name)
    if text in classes:
        return classes.index(text)
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    raise UserError(
        f"there is no class {text!r}{did_you_mean(text, classes)}; the flow has "
        f"{listed(classes)}, numbered from 0 to {len(classes) - 1}."
    )


def listed(classes: Sequence[str]) -> str:
    """Return the names of classes in words, only the first ones if there are many."""
    more = len(classes) - LISTED
    return ", ".join(classes[:LISTED]) + (f" and {more:,} more" if more > 0 else "")


def _short(labels) -> str:
    return str(labels) if np.ndim(labels) == 0 else f"of shape {list(np.shape(labels))}"
