"""Identification: whose embedding is it, of the people enrolled in a gallery, if any?

Closed set: cumulative match characteristics (CMC). Open set: the detection and
identification rate (DIR) over the false positive identification rate (FPIR), as in the
IJB benchmarks (Klare et al., CVPR 2015; Maze et al., ICB 2018).

A probe is *mated* when its identity is enrolled. FPIR is the share of the *non-mated
probes* whose best score over the whole gallery is at least the threshold, not a share
of all non-mated scores. DIR is the share of mated probes whose own identity stands at
rank 1 with a score of at least the threshold; 1 − DIR is FNIR at rank 1.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    blocks,
    check_digits,
    check_labels,
    check_needed,
    check_rate,
    check_same_dimensions,
    check_scores,
    count_rows,
    unit,
)
from nfml_jax.evaluation.geometry import class_means
from nfml_jax.evaluation.neighbours import METRICS, are_close
from nfml_jax.ops.broadcasting import broadcasting

SCORES = 2**21
"""Scores of probes and gallery rows held at a time (8 MiB)."""

TEMPLATES = "mean", "best"
"""An identity's score: of the mean of its unit embeddings, or the best of them all."""


def check_template(template: str) -> None:
    """UserError for a `template` not in `TEMPLATES`."""
    if template not in TEMPLATES:
        raise UserError(f"template is {template!r}; expected {' or '.join(TEMPLATES)}.")


@dataclasses.dataclass(frozen=True)
class Templates:
    """What probes are compared with: unit `rows` [G, D], those of an identity together.

    `first` [I] is where each identity's rows begin, and `identities` [I] its label.
    """

    rows: np.ndarray
    first: np.ndarray
    identities: np.ndarray

    @classmethod
    def of(cls, embeddings, labels, template: str = "mean") -> "Templates":
        """Of embeddings [N, D] and labels [N]; `template` is one of `TEMPLATES`."""
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
        """For some probes [P, D] at a time, all their scores [P, I]."""
        probes = check_digits(probes, "probes")
        check_same_dimensions(probes, self.rows, "Probes and gallery")
        found = METRICS["cosine"](probes, self.rows) if are_close(self.rows) else None
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
    # The full float32 product also where the hardware's default is coarser.
    return jnp.matmul(probes, rows.T, precision=lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True)
class Search:
    """What became of each probe.

    `best` [P], the best score of any identity; `found` [P], whose it is; `rank` [P], of
    the probe's own identity, from 1, or 0 for a non-mated probe; `own` [P], its score.
    """

    best: np.ndarray
    found: np.ndarray
    rank: np.ndarray
    own: np.ndarray
    identities: int

    def rank_accuracy(self, k: int) -> float:
        """The share of mated probes whose identity is among the k best: CMC at rank k.

        UserError for k beyond the identities enrolled, or no mated probe.
        """
        if not 1 <= k <= self.identities:
            raise UserError(
                f"rank {k} of {self.identities} identities enrolled; expected 1 to "
                f"{self.identities}."
            )
        return float(np.mean(self._mated_ranks() <= k))

    def cmc(self) -> np.ndarray:
        """`rank_accuracy` [I] at every rank from 1."""
        ranks = self._mated_ranks()
        return np.cumsum(np.bincount(ranks - 1, minlength=self.identities)) / len(ranks)

    def open_set(self) -> "OpenSet":
        """Rates over all thresholds; UserError without mated or non-mated probes."""
        mated = self.rank > 0
        if mated.all():
            raise UserError(
                f"All {len(mated)} probes are of identities enrolled; open-set rates "
                "need probes of strangers, too."
            )
        self._mated_ranks()
        identified = np.sort(self.own[self.rank == 1])
        return OpenSet(np.sort(self.best[~mated]), identified, int(mated.sum()))

    def _mated_ranks(self):
        ranks = self.rank[self.rank > 0]
        if not len(ranks):
            raise UserError(
                f"None of the {len(self.rank)} probes is of an identity enrolled; "
                "check that gallery and probes are labelled alike."
            )
        return ranks


def search(
    probes, probe_labels, gallery, gallery_labels, template: str = "mean"
) -> Search:
    """Look every probe up in the gallery.

    probes [P, D], gallery [G, D], with labels [P] and [G]; one or several gallery rows
    for an identity, by `template` of `TEMPLATES`. Of equal scores the identity of the
    lower label stands first. Holds `SCORES` scores at a time. UserError for an unknown
    template, or embeddings empty, not finite or of different dimensions.
    """
    labels = check_labels(probe_labels, count_rows(probes, "probes"))
    templates = Templates.of(gallery, gallery_labels, template)
    place = np.searchsorted(templates.identities, labels)
    place = np.minimum(place, len(templates.identities) - 1)
    mated = templates.identities[place] == labels
    columns, start = [], 0
    for scores in templates.scores(probes):
        some = slice(start, start + len(scores))
        columns.append(_judge(scores, place[some], mated[some]))
        start += len(scores)
    best, found, rank, own = map(np.concatenate, zip(*columns, strict=True))
    return Search(
        best, templates.identities[found], rank, own, len(templates.identities)
    )


def search_scores(scores, place) -> Search:
    """What became of probes whose scores [P, I] for each identity are known.

    `place` [P] is the column of a probe's own identity, or -1 for a non-mated probe.
    UserError for other shapes, a score that is NaN, or a place beyond the columns.
    """
    scores, place = check_scores(scores), np.asarray(place)
    if place.shape == (len(place), 1):
        place = place[:, 0]
    if scores.ndim != 2 or not scores.size or place.shape != scores.shape[:1]:
        raise UserError(
            f"scores and places have shapes {scores.shape} and {place.shape}; expected "
            "[probes, identities] and [probes], one of each or more."
        )
    place = check_labels(place, len(place), scores.shape[1], "places", padding=True)
    mated = place >= 0
    place = np.where(mated, place, 0)
    best, found, rank, own = _judge(scores, place, mated)
    return Search(best, found, rank, own, scores.shape[1])


def _judge(scores, place, mated):
    """Best score, its place, own rank and own score [P] from scores [P, I]."""
    own = np.take_along_axis(scores, place[:, None], axis=1)
    before = np.arange(scores.shape[1]) < place[:, None]
    rank = 1 + np.sum((scores > own) | ((scores == own) & before), axis=1)
    found = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), found]
    return best, found, np.where(mated, rank, 0), np.where(mated, own[:, 0], np.nan)


@dataclasses.dataclass(frozen=True)
class OpenSet:
    """Scores, ascending, from which the open-set rates follow at any threshold.

    `strangers` [S], the best of each non-mated probe; `identified`, those of mated
    probes whose own identity came first, among `mated` of them.
    """

    strangers: np.ndarray
    identified: np.ndarray
    mated: int

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """FPIR and the largest DIR with it [S + 1], from no false alarm to all."""
        missed = np.searchsorted(self.identified, self._beaten, side="right")
        return self._fpir, (len(self.identified) - missed) / self.mated

    def dir_at_fpir(self, fpir: float) -> float:
        """The largest DIR of all thresholds whose FPIR is at most `fpir`.

        Warns when one non-mated probe alone exceeds `fpir`; UserError outside (0, 1].
        """
        return float(self.rates()[1][self._place_of(fpir)])

    def threshold_at_fpir(self, fpir: float) -> float:
        """The least score that `dir_at_fpir` accepts: what a `Gallery` can be given.

        Choose it on other probes than those to judge. Warnings and errors likewise.
        """
        beaten = self._beaten[self._place_of(fpir)]
        return float(np.nextafter(beaten, np.inf)) if beaten > -np.inf else -np.inf

    @property
    def _fpir(self):
        """The FPIR [S + 1] at each threshold, from no false alarm to all."""
        count = len(self.strangers)
        return (count - np.searchsorted(self.strangers, self._beaten, "right")) / count

    @property
    def _beaten(self):
        """The score [S + 1] just above which the threshold lies, by false alarms."""
        # In the scores' own precision, in which a gallery compares.
        least = np.full_like(self.strangers, -np.inf, shape=1)
        return np.concatenate([least, self.strangers])[::-1]

    def _place_of(self, fpir):
        check_rate(fpir, len(self.strangers), "DIR at FPIR", "non-mated probes")
        return np.searchsorted(self._fpir, fpir, side="right") - 1


def metrics(
    found: Search, ranks: Sequence[int] = (1, 5), fpirs: Sequence[float] = ()
) -> dict[str, float]:
    """`rank-k` for each k of `ranks`, and `dir@fpir=…` for each of `fpirs`."""
    values = {f"rank-{k}": found.rank_accuracy(k) for k in ranks}
    if fpirs:
        curve = found.open_set()
        values |= {f"dir@fpir={f:g}": curve.dir_at_fpir(f) for f in fpirs}
    return values
