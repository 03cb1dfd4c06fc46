"""The condition of a density, and its form as an input of a flow."""

from dataclasses import dataclass

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.labels import check_labels


@dataclass(frozen=True)
class Context:
    """Numbers or names, one for each of the `columns`, or one of some `classes`.

    The flow's input is numbers as (original - `shift`) / `scale`, and a class as a
    one-hot vector; `prior` holds the classes' shares of the training rows. `levels` has
    the names in a column of text, each a one-hot vector, and () for a column of
    numbers; it is empty if there are only numbers.
    """

    columns: tuple[str, ...] = ()
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    prior: tuple[float, ...] = ()
    levels: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of_classes(cls, classes: tuple[str, ...], labels: np.ndarray) -> "Context":
        """Return the context of classes; the prior is their share of `labels [N]`."""
        counts = np.bincount(labels, minlength=len(classes))
        return cls(classes=classes, prior=tuple((counts / len(labels)).tolist()))

    @property
    def size(self) -> int:
        """The length of the flow's input."""
        if not self.levels:
            return len(self.classes) or len(self.columns)
        return sum(max(len(names), 1) for names in self.levels)

    def encode(self, given) -> np.ndarray:
        """Return the flow's input, float32 `[N, size]`.

        Args:
          given: class numbers `[N]`, or `[N, columns]`: numbers in their original
            units, and for columns of text names, or their places in `levels`. It
            may be `[N]` for a single column.

        Raises:
          UserError: if it is anything else.
        """
        given = np.asarray(given)
        if self.classes:
            labels = check_labels(given, given.size, len(self.classes), "the context")
            return np.eye(self.size, dtype=np.float32)[labels]
        if given.ndim == 1 and len(self.columns) == 1:
            given = given[:, None]
        if any(self.levels) and given.shape[1:] == (len(self.columns),):
            columns = zip(given.T, self.columns, self.levels, strict=True)
            parts = [
                _one_hot(column, name, levels)
                if levels
                else (column.astype(np.float64)[:, None] - self.shift[i])
                / self.scale[i]
                for i, (column, name, levels) in enumerate(columns)
            ]
            return np.concatenate(parts, axis=1).astype(np.float32)
        if given.shape[1:] != (len(self.columns),) or not np.isfinite(given).all():
            kind = "names or numbers" if any(self.levels) else "finite numbers"
            raise UserError(
                f"the context has shape {list(given.shape)}; expected {kind} "
                f"[N, {len(self.columns)}]: {', '.join(self.columns)}."
            )
        return ((given - self.shift) / self.scale).astype(np.float32)


def _one_hot(column, name: str, levels) -> np.ndarray:
    """Return one-hot vectors `[N, levels]` of names, or of their indices."""
    if column.dtype.kind in "OUS":
        number = {level: i for i, level in enumerate(levels)}
        column = [
            number[text] if (text := str(value)) in number else value
            for value in column
        ]
    try:
        places = np.asarray(column, np.float64)
    except ValueError:
        places = np.array([-1.0])
    if not np.isin(places, np.arange(len(levels))).all():
        unknown = next(x for x in column if not np.isin(x, np.arange(len(levels))))
        raise UserError(
            f"{name} is {unknown!r} in a context; it must be one of "
            f"{', '.join(levels)}, which were there in training."
        )
    return np.eye(len(levels))[places.astype(int)]
