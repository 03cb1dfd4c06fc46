"""I."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_scores, count_rows
from nfml_jax.evaluation.open_set import OpenSet
from nfml_jax.evaluation.templates import Templates
from nfml_jax.ops.labels import check_labels


@dataclasses.dataclass(frozen=True)
class Search:
    """What became of each probe.

    `best` [P], the best score of any identity; `found` [P], whose it is; `rank` [P], of
    the probe's own identity, from 1, or 0 for a non-mated probe; `own` [P], its score.
    """

    best: np.ndarray
    found: np.ndarray
    rank: np.ndarray
    mated_score: np.ndarray
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
                "need non-mated probes, too."
            )
        self._mated_ranks()
        identified = np.sort(self.mated_score[self.rank == 1])
        return OpenSet(np.sort(self.best[~mated]), identified, int(mated.sum()))

    def _mated_ranks(self):
        ranks = self.rank[self.rank > 0]
        if not len(ranks):
            raise UserError(
                f"None of the {len(self.rank)} probes is of an identity enrolled; "
                "check that gallery and probes are labeled alike."
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
        columns.append(_rank_probes(scores, place[some], mated[some]))
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
    best, found, rank, own = _rank_probes(scores, place, mated)
    return Search(best, found, rank, own, scores.shape[1])


def _rank_probes(scores, place, mated):
    """Best score, its place, own rank and own score [P] from scores [P, I]."""
    own = np.take_along_axis(scores, place[:, None], axis=1)
    before = np.arange(scores.shape[1]) < place[:, None]
    rank = 1 + np.sum((scores > own) | ((scores == own) & before), axis=1)
    found = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), found]
    return best, found, np.where(mated, rank, 0), np.where(mated, own[:, 0], np.nan)


def metrics(
    found: Search, ranks: Sequence[int] = (1, 5), fpirs: Sequence[float] = ()
) -> dict[str, float]:
    """`rank-k` for each k of `ranks`, and `dir@fpir=…` for each of `fpirs`."""
    values = {f"rank-{k}": found.rank_accuracy(k) for k in ranks}
    if fpirs:
        curve = found.open_set()
        values |= {f"dir@fpir={f:g}": curve.dir_at_fpir(f) for f in fpirs}
    return values
