"""A gallery of people by name: enroll them, remove them, and identify embeddings."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_same_dimensions, check_vectors
from nfml_jax.evaluation.open_set import OpenSet
from nfml_jax.evaluation.templates import Templates, check_template
from nfml_jax.ops.distances import unit

ROUNDING = 1e-5

UNKNOWN = "unknown"
"""The name given to embeddings that score below the threshold."""


class Gallery:
    """Names and unit embeddings of enrolled people, and a threshold to identify others.

    `threshold` is the cosine from which a name is given; -inf names everyone, and inf
    nobody. Choose it for a false positive identification rate, by `threshold_at_fpir`
    of this class or of `open_set.OpenSet`. `template` is one of `templates.TEMPLATES`.

    >>> gallery = Gallery(threshold=0.7)
    >>> gallery.enroll("ada", [1.0, 0.0])
    >>> gallery.enroll("bob", [[0.0, 1.0], [-0.6, 0.8]])
    >>> names, scores = gallery.identify([[0.8, 0.6], [-0.3, 0.9], [0.0, -1.0]])
    >>> names.tolist()
    ['ada', 'bob', 'unknown']
    """

    def __init__(self, threshold: float, template: str = "mean"):
        check_template(template)
        self.threshold, self.template = threshold, template
        self._enrolled: dict[str, np.ndarray] = {}
        self._templates = None

    @property
    def threshold(self) -> float:
        """The cosine from which a name is given."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        # A search may return a cosine that is slightly beyond 1, by rounding.
        if not (abs(value) <= 1 + ROUNDING or abs(value) == np.inf):
            raise UserError(
                f"threshold is {value}; expected a cosine, -1 to 1, or -inf or inf."
            )
        self._threshold = float(value)

    @property
    def names(self) -> list[str]:
        """The names of enrolled people, in order of enrollment."""
        return list(self._enrolled)

    def enroll(self, name: str, embeddings) -> None:
        """Add embeddings `[N, D]`, or one `[D]`, of a known or a new person.

        Raises:
          UserError: for a name that is empty or "unknown", or embeddings that don't
            fit.
        """
        if not isinstance(name, str) or name in ("", UNKNOWN):
            raise UserError(
                f"{name!r} can't be enrolled; expected a name that is not empty or "
                "'unknown'."
            )
        rows = unit(check_vectors(np.atleast_2d(embeddings)))
        if self._enrolled:
            anyone = next(iter(self._enrolled.values()))
            check_same_dimensions(rows, anyone, "Embeddings and gallery")
        known = self._enrolled.get(name, rows[:0])
        self._enrolled[name] = np.concatenate([known, rows])
        self._templates = None

    def remove(self, name: str) -> None:
        """Remove a person.

        Raises:
          UserError: for a name that isn't enrolled.
        """
        if name not in self._enrolled:
            raise UserError(
                f"{name!r} is not enrolled; expected one of {self._some_names()}."
            )
        del self._enrolled[name]
        self._templates = None

    def identify(self, embeddings) -> tuple[np.ndarray, np.ndarray]:
        """Return the name and the best score of each embedding.

        Of equal scores the name enrolled first wins. No embeddings `[0, D]` give no
        names.

        Args:
          embeddings: `[N, D]`, of any length.

        Returns:
          Names `[N]`, which are `UNKNOWN` below the threshold, and cosines `[N]`.

        Raises:
          UserError: if nobody is enrolled.
        """
        found, best = self._best(embeddings)
        names = np.array(self.names)[found]
        return np.where(best >= self.threshold, names, UNKNOWN), best

    def threshold_at_fpir(self, embeddings, fpir: float) -> float:
        """Return the least threshold at which at most a share `fpir` is given a name.

        `embeddings` `[N, D]` are of people who aren't enrolled. A warning says when one
        of them alone exceeds `fpir`.

        Raises:
          UserError: for no embeddings, or `fpir` outside (0, 1].
        """
        _, best = self._best(embeddings)
        return OpenSet(np.sort(best), best[:0], 0).threshold_at_fpir(fpir)

    def _best(self, embeddings):
        """Return the index `[N]` of each embedding's best name, and its score."""
        if not self._enrolled:
            raise UserError("Nobody is enrolled; call enroll(name, embeddings) first.")
        embeddings = np.asarray(embeddings)
        if not embeddings.size and len(embeddings) == 0:
            return np.zeros(0, int), np.zeros(0, np.float32)
        if self._templates is None:
            counts = [len(rows) for rows in self._enrolled.values()]
            rows = np.concatenate(list(self._enrolled.values()))
            owner = np.repeat(np.arange(len(counts)), counts)
            self._templates = Templates.of(rows, owner, self.template)
        found, best = [], []
        for scores in self._templates.scores(np.atleast_2d(embeddings)):
            found.append(scores.argmax(axis=1))
            best.append(scores.max(axis=1))
        return np.concatenate(found), np.concatenate(best)

    def save(self, path: str | Path) -> None:
        """Write the gallery to one .npz file, which `load` reads."""
        counts = [len(rows) for rows in self._enrolled.values()]
        rows = list(self._enrolled.values()) or [np.zeros((0, 0), np.float32)]
        with open(path, "wb") as file:
            np.savez(
                file,
                names=np.array(self.names, dtype=str),
                counts=np.array(counts, dtype=np.int64),
                embeddings=np.concatenate(rows),
                threshold=self.threshold,
                template=self.template,
            )

    @classmethod
    def load(cls, path: str | Path) -> "Gallery":
        """Return the gallery that `save` wrote.

        Raises:
          UserError: for a file that isn't a gallery.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                gallery = cls(float(file["threshold"]), str(file["template"]))
                parts = np.split(file["embeddings"], np.cumsum(file["counts"])[:-1])
                names = [str(name) for name in file["names"]]
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise UserError(
                f"{path} can't be read as a gallery ({error}); expected a file that "
                "Gallery.save wrote."
            ) from None
        gallery._enrolled = dict(zip(names, parts, strict=False))
        return gallery

    def _some_names(self) -> str:
        """Return the first names, for an error."""
        names = self.names[:5]
        return ", ".join(names) + (" …" if len(self._enrolled) > 5 else "") or "nobody"
