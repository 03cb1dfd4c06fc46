"""What a density is conditioned on, and the form in which a flow is given it."""

from dataclasses import dataclass

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import check_labels


@dataclass(frozen=True)
class Context:
    """Numbers, one for each of the `columns`, or one of some `classes`.

    A flow is given numbers as (original - `shift`) / `scale`, and a class as a one-hot
    vector; `prior` holds the classes' shares of the training rows.
    """

    columns: tuple[str, ...] = ()
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    prior: tuple[float, ...] = ()

    @classmethod
    def of_classes(cls, classes: tuple[str, ...], labels: np.ndarray) -> "Context":
        """One of some classes, as often as among the training rows' labels `[N]`."""
        counts = np.bincount(labels, minlength=len(classes))
        return cls(classes=classes, prior=tuple((counts / len(labels)).tolist()))

    @property
    def size(self) -> int:
        """How many numbers a flow is given."""
        return len(self.classes) or len(self.columns)

    def encode(self, given) -> np.ndarray:
        """What a flow is given, float32 `[N, size]`.

        `given` are class numbers `[N]`, or numbers `[N, columns]` in their original
        units. UserError if it is anything else.
        """
        given = np.asarray(given)
        if self.classes:
            labels = check_labels(given, given.size, len(self.classes), "the context")
            return np.eye(self.size, dtype=np.float32)[labels]
        if given.shape[1:] != (self.size,) or not np.isfinite(given).all():
            raise UserError(
                f"the context has shape {list(given.shape)}; expected finite numbers "
                f"[N, {self.size}]: {', '.join(self.columns)}."
            )
        return ((given - self.shift) / self.scale).astype(np.float32)
