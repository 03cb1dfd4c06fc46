"""Templates of enrolled identities, and the scores of probes against them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.class_angles import class_means
from nfml_jax.evaluation.inputs import check_digits, check_needed, check_same_dimensions
from nfml_jax.evaluation.similarities import SIMILARITIES, are_close
from nfml_jax.evaluation.tiles import blocks
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels

SCORES = 2**21
"""The number of scores of probes and gallery rows held at a time (8 MiB)."""


TEMPLATES = "mean", "best"
"""Names of an identity's score: that of its mean unit embedding, or its best one."""


def check_template(template: str) -> None:
    """Raise UserError for a `template` that is not in `TEMPLATES`."""
    if template not in TEMPLATES:
        raise UserError(f"template is {template!r}; expected {' or '.join(TEMPLATES)}.")


@dataclasses.dataclass(frozen=True)
class Templates:
    """Unit embeddings of enrolled identities, with which probes are compared.

    `rows` `[G, D]` are sorted by identity. `first` `[I]` is where the rows of each
    identity begin, and `identities` `[I]` are their labels.
    """

    rows: np.ndarray
    first: np.ndarray
    identities: np.ndarray

    @classmethod
    def of(cls, embeddings, labels, template: str = "mean") -> "Templates":
        """Return the templates of embeddings `[N, D]` with labels `[N]`."""
        check_template(template)
        embeddings = check_needed(embeddings, "gallery rows")
        labels = check_labels(labels, len(embeddings))
        if template == "mean":
            means, identities = class_means(embeddings, labels)
            return cls(unit(means), np.arange(len(means)), identities)
        order = np.argsort(labels, kind="stable")
        identities, first = np.unique(labels[order], return_index=True)
        return cls(unit(embeddings)[order], first, identities)

    def scores(self, probes):
        """Yield the scores `[P, I]` of some probes at a time, given all probes."""
        probes = check_digits(probes, "probes")
        check_same_dimensions(probes, self.rows, "Probes and gallery")
        found = (
            SIMILARITIES["cosine"](probes, self.rows) if are_close(self.rows) else None
        )
        probes = found.queries if found else unit(probes.astype(np.float32))
        chunk = min(len(probes), max(1, SCORES // len(self.rows)))
        rows = jnp.asarray(found.gallery if found else self.rows)
        for start, block in enumerate(blocks(probes, chunk)):
            cosines = np.asarray(_cosines(block, rows))[: len(probes) - start * chunk]
            if found:
                cosines = found.similarity(cosines)
            yield np.maximum.reduceat(cosines, self.first, axis=1)


@jax.jit
@broadcasting
def _cosines(probes, rows):
    """Return the inner products `[P, G]` of probes and rows."""
    # In full float32, though the default of some hardware is coarser.
    return jnp.matmul(probes, rows.T, precision=lax.Precision.HIGHEST)
