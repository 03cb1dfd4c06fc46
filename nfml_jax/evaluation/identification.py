"""Closed-set identification: probes are looked up in a gallery of enrolled identities.

A probe is *mated* if its identity is enrolled. The cumulative match characteristic
(CMC) is the share of mated probes whose identity is among the k best. Open-set rates,
which include non-mated probes, are in `open_set`.
"""

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
    """The result of looking up P probes among I identities.

    `best` `[P]` is the best score of any identity, and `found` `[P]` is that identity's
    label. `rank` `[P]` is the rank of the probe's own identity, from 1, or 0 for a
    non-mated probe. `mated_score` `[P]` is its score, or NaN. `identities` is I.

    >>> found = search([[0.9, 0.1], [0.0, 1.0]], [4, 4], np.eye(2), [4, 7])
    >>> found.found.tolist(), found.rank.tolist()
    ([4, 7], [1, 2])
    """

    best: np.ndarray
    found: np.ndarray
    rank: np.ndarray
    mated_score: np.ndarray
    identities: int

    def rank_accuracy(self, k: int) -> float:
        """Return the share of mated probes whose identity is among the k best.

        This is the CMC at rank k.

        Raises:
          UserError: for k beyond the enrolled identities, or without mated probes.
        """
        if not 1 <= k <= self.identities:
            raise UserError(
                f"rank is {k}; expected 1 to {self.identities}, the number of enrolled "
                "identities."
            )
        return float(np.mean(self._mated_ranks() <= k))

    def cmc(self) -> np.ndarray:
        """Return `rank_accuracy` `[I]` at every rank from 1."""
        ranks = self._mated_ranks()
        return np.cumsum(np.bincount(ranks - 1, minlength=self.identities)) / len(ranks)

    def open_set(self) -> "OpenSet":
        """Return the open-set rates over all thresholds.

        Raises:
          UserError: without mated or without non-mated probes.
        """
        mated = self.rank > 0
        if mated.all():
            raise UserError(
                f"All {len(mated)} probes are of enrolled identities; open-set rates "
                "need non-mated probes, too."
            )
        self._mated_ranks()
        identified = np.sort(self.mated_score[self.rank == 1])
        return OpenSet(np.sort(self.best[~mated]), identified, int(mated.sum()))

    def _mated_ranks(self):
        """Return the ranks of mated probes; raise UserError if there are none."""
        ranks = self.rank[self.rank > 0]
        if not len(ranks):
            raise UserError(
                f"None of the {len(self.rank)} probes is of an enrolled identity; "
                "check that gallery and probes are labeled alike."
            )
        return ranks


def search(
    probes, probe_labels, gallery, gallery_labels, template: str = "mean"
) -> Search:
    """Return the result of looking up every probe in the gallery.

    Of equal scores the identity of the lower label comes first. At most `SCORES` scores
    of `templates` are held at a time.

    Args:
      probes: embeddings `[P, D]`, of any length.
      probe_labels: integers `[P]`.
      gallery: embeddings `[G, D]`, one or several for each identity.
      gallery_labels: integers `[G]`.
      template: "mean" to compare probes with the mean of an identity's unit embeddings,
        or "best" for the best of its embeddings.

    Raises:
      UserError: for an unknown template, or embeddings that are empty, not finite or of
        different dimensions.

    >>> search([[0.9, 0.1], [0.0, 1.0]], [4, 4], np.eye(2), [4, 7]).cmc()
    array([0.5, 1. ])
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
    """Return the result of looking up probes whose scores are known.

    Args:
      scores: the score `[P, I]` of each probe for each identity.
      place: the column `[P]` of a probe's own identity, or -1 for a non-mated probe.

    Raises:
      UserError: for other shapes, a score that is NaN, or a column beyond the last.

    >>> search_scores([[0.9, 0.1], [0.2, 0.3]], [0, -1]).rank.tolist()
    [1, 0]
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
    """Return the best score, its column, the rank and the own score `[P]` of probes.

    `scores` are `[P, I]`, `place` `[P]` is the column of the own identity, and `mated`
    `[P]` says whether there is one.
    """
    own = np.take_along_axis(scores, place[:, None], axis=1)
    before = np.arange(scores.shape[1]) < place[:, None]
    rank = 1 + np.sum((scores > own) | ((scores == own) & before), axis=1)
    found = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), found]
    return best, found, np.where(mated, rank, 0), np.where(mated, own[:, 0], np.nan)


def metrics(
    found: Search, ranks: Sequence[int] = (1, 5), fpirs: Sequence[float] = ()
) -> dict[str, float]:
    """Return `rank-k` for each k of `ranks`, and `dir@fpir=…` for each of `fpirs`.

    >>> metrics(search_scores([[0.9, 0.1], [0.2, 0.3]], [0, 0]), ranks=(1, 2))
    {'rank-1': 0.5, 'rank-2': 1.0}
    """
    values = {f"rank-{k}": found.rank_accuracy(k) for k in ranks}
    if fpirs:
        curve = found.open_set()
        values |= {f"dir@fpir={f:g}": curve.dir_at_fpir(f) for f in fpirs}
    return values
