"""Ranks and open-set rates equal their definitions, and so does a gallery."""

import warnings

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation import identification, templates
from nfml_jax.evaluation.gallery import UNKNOWN, Gallery
from nfml_jax.evaluation.identification import search

ENROLLED = np.array([2, 3, 5, 7])


def example(ties: bool = False):
    """Probes of six identities and a gallery with one to three images of four."""
    rng = np.random.default_rng(0)
    gallery_labels = np.array([5, 2, 3, 7, 5, 2, 5])
    probe_labels = rng.choice([*ENROLLED, 1, 9], 83)
    centers = rng.normal(size=(10, 16))

    def embed(labels):
        # With entries of ±1 cosines are multiples of 1/8, exactly, so that many tie.
        x = centers[labels] + 1.5 * rng.normal(size=(len(labels), 16))
        return np.where(x > 0, 1.0, -1.0) if ties else x

    return embed(probe_labels), probe_labels, embed(gallery_labels), gallery_labels


def scores(probes, gallery, gallery_labels, template):
    """The score [P, I] of each identity, by definition."""
    p, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (probes, gallery))
    groups = [g[gallery_labels == identity] for identity in ENROLLED]
    if template == "best":
        return np.stack([(p @ group.T).max(axis=1) for group in groups], axis=1)
    means = np.stack([group.mean(axis=0) for group in groups])
    return p @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T


@pytest.mark.parametrize(
    ("template", "ties"), [("mean", False), ("best", False), ("best", True)]
)
def test_ranks_and_rates_equal_their_definitions(template, ties, monkeypatch):
    probes, labels, gallery, gallery_labels = example(ties)
    monkeypatch.setattr(templates, "SCORES", 100)
    found = search(probes, labels, gallery, gallery_labels, template)
    every = scores(probes, gallery, gallery_labels, template).round(6)
    order = np.argsort(-every, axis=1, kind="stable")
    mated = np.isin(labels, ENROLLED)
    ranks = 1 + np.argmax(ENROLLED[order] == labels[:, None], axis=1)
    np.testing.assert_array_equal(found.rank, np.where(mated, ranks, 0))
    np.testing.assert_array_equal(found.found, ENROLLED[order[:, 0]])
    np.testing.assert_allclose(found.best, every.max(axis=1), atol=2e-6)

    cmc = [np.mean(ranks[mated] <= k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(found.cmc(), cmc)
    assert [found.rank_accuracy(k) for k in (1, 2, 3, 4)] == pytest.approx(cmc)
    assert cmc[-1] == 1

    best = every.max(axis=1)
    open_set = found.open_set()
    for fpir in (0.02, 0.1, 0.3, 1.0):
        thresholds = [-np.inf, np.inf, *(best + 1e-5), *(best - 1e-5)]
        expected = max(
            np.mean((ranks[mated] == 1) & (best[mated] >= t))
            for t in thresholds
            if np.mean(best[~mated] >= t) <= fpir
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert open_set.dir_at_fpir(fpir) == pytest.approx(expected)
            least = open_set.threshold_at_fpir(fpir)
        accepted = found.best >= least
        assert np.mean(accepted[~mated]) <= fpir
        assert np.mean(accepted[mated] & (ranks[mated] == 1)) == pytest.approx(expected)
    fpir, rate = open_set.rates()
    assert fpir[0] == 0 and fpir[-1] == 1 and rate[-1] == pytest.approx(cmc[0])
    assert (np.diff(fpir) >= 0).all() and (np.diff(rate) >= 0).all()


def test_metrics_have_names_and_warn_about_few_non_mated_probes():
    found = search(*example())
    values = identification.metrics(found, ranks=(1, 4), fpirs=(0.1,))
    assert list(values) == ["rank-1", "rank-4", "dir@fpir=0.1"]
    assert all(type(value) is float for value in values.values())
    non_mated = int((found.rank == 0).sum())
    with pytest.warns(UserWarning, match=f"with {non_mated} non-mated probes"):
        found.open_set().dir_at_fpir(1e-3)


@pytest.mark.parametrize("template", templates.TEMPLATES)
def test_a_gallery_identifies_only_enrolled_people(template, tmp_path):
    rng = np.random.default_rng(0)
    people = {name: rng.normal(size=(3, 8)) + 4 * rng.normal(size=8) for name in "abc"}
    gallery = Gallery(threshold=0.7, template=template)
    for name, embeddings in people.items():
        gallery.enroll(name, embeddings[0])
        gallery.enroll(name, embeddings[1:])
    gallery.save(tmp_path / "gallery.npz")
    for known in (gallery, Gallery.load(tmp_path / "gallery.npz")):
        assert known.names == ["a", "b", "c"]
        for name, embeddings in people.items():
            names, best = known.identify(9 * embeddings)
            assert (names == name).all() and (best > 0.7).all()
        names, best = known.identify(-people["a"])
        assert (names == UNKNOWN).all() and (best < 0.7).all()
    labels = np.repeat([0, 1, 2], 3)
    rows = np.concatenate(list(people.values()))
    probes = rng.normal(size=(20, 8))
    found = search(probes, np.zeros(20, int), rows, labels, template)
    np.testing.assert_allclose(gallery.identify(probes)[1], found.best, rtol=1e-6)

    gallery.remove("b")
    assert "b" not in gallery.identify(people["b"])[0]
    gallery.enroll("d", people["b"])
    assert (gallery.identify(people["b"])[0] == "d").all()


def test_a_gallery_has_the_false_alarm_rate_chosen_for_its_threshold():
    probes, labels, rows, names = example()
    open_set = search(probes, labels, rows, names).open_set()
    gallery = Gallery(open_set.threshold_at_fpir(0.1))
    for row, name in zip(rows, names, strict=True):
        gallery.enroll(str(name), row)
    non_mated = ~np.isin(labels, ENROLLED)
    known, _ = gallery.identify(probes[non_mated])
    assert np.sum(known != UNKNOWN) == int(0.1 * non_mated.sum())


def test_an_empty_gallery_can_be_saved_but_not_searched(tmp_path):
    Gallery(0.5).save(tmp_path / "empty.npz")
    empty = Gallery.load(tmp_path / "empty.npz")
    assert empty.names == []
    with pytest.raises(UserError, match="Nobody is enrolled"):
        empty.identify(np.eye(2))


def enrolled(name="a", embeddings=((1.0, 0.0),)):
    gallery = Gallery(0.5)
    gallery.enroll(name, embeddings)
    return gallery


LABELS, ROWS = np.array([0, 1, 2]), np.eye(3)
KNOWN = search(ROWS, LABELS, ROWS, LABELS)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: KNOWN.rank_accuracy(4), "rank is 4; expected 1 to 3"),
        (lambda: KNOWN.open_set(), "non-mated probes"),
        (lambda: search(*example()).open_set().dir_at_fpir(0), "FPIR 0: expected"),
        (lambda: search(ROWS, LABELS + 3, ROWS, LABELS).cmc(), "None of the 3 probes"),
        (lambda: search(ROWS[:0], [], ROWS, LABELS), "labels|probes are empty"),
        (lambda: search(ROWS[:0], LABELS[:0], ROWS, LABELS), "probes are empty"),
        (lambda: search(ROWS, LABELS, ROWS[:0], LABELS[:0]), "gallery rows are empty"),
        (lambda: search(ROWS, LABELS[:2], ROWS, LABELS), "labels"),
        (lambda: search(ROWS, LABELS, np.eye(2), [0, 1]), "dimensions"),
        (lambda: search(ROWS, LABELS, ROWS, LABELS, "median"), "mean or best"),
        (lambda: search(ROWS * np.nan, LABELS, ROWS, LABELS), "not finite"),
        (lambda: Gallery(0.5, "median"), "mean or best"),
        (lambda: Gallery(1.5), "1.5"),
        (lambda: enrolled(UNKNOWN), "'unknown' can't"),
        (lambda: enrolled().enroll("b", np.eye(3)), "dimensions"),
        (lambda: enrolled().remove("b"), "expected one of a"),
        (lambda: enrolled().identify(np.eye(3)), "dimensions"),
        (lambda: Gallery.load("no/such/file.npz"), "no/such/file.npz"),
        (lambda: Gallery.load(__file__), "Gallery.save"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


def test_given_scores_are_searched_like_embeddings():
    probes, labels, gallery, gallery_labels = example()
    found = search(probes, labels, gallery, gallery_labels)
    columns = {identity: i for i, identity in enumerate(ENROLLED)}
    place = np.array([columns.get(label, -1) for label in labels])
    given = identification.search_scores(
        scores(probes, gallery, gallery_labels, "mean"), place
    )
    np.testing.assert_array_equal(given.rank, found.rank)
    np.testing.assert_allclose(given.best, found.best, atol=1e-6)
    assert given.rank_accuracy(2) == found.rank_accuracy(2)


@pytest.mark.parametrize(
    ("scores", "place", "says"),
    [
        (np.zeros(3), [0, 0, 0], r"shapes \(3,\) and"),
        (np.zeros((3, 0)), [-1, -1, -1], "one of each or more"),
        (np.full((1, 2), np.nan), [0], "2 of 2 scores are NaN"),
        (np.zeros((1, 2)), [2], "places range from 2 to 2; expected 0 to 1"),
    ],
)
def test_mismatched_scores_and_places_are_named(scores, place, says):
    with pytest.raises(UserError, match=says):
        identification.search_scores(scores, place)


def test_no_probes_give_no_names_and_no_scores():
    gallery = Gallery(0.5)
    gallery.enroll("someone", np.eye(3)[0])
    for none in (np.zeros((0, 3), np.float32), [], np.zeros(0)):
        found, scores = gallery.identify(none)
        assert found.shape == scores.shape == (0,)


@pytest.mark.filterwarnings("ignore:DIR at FPIR")
@pytest.mark.parametrize("fpir", [0.2, 0.5, 1.0])
def test_a_gallery_accepts_any_threshold_that_a_search_returns(fpir):
    e = np.eye(3, dtype=np.float32) / 3
    found = identification.search([e[0], e[1], e[1]], [0, 1, 9], e[:2], [0, 1])
    gallery = Gallery(found.open_set().threshold_at_fpir(fpir))
    gallery.enroll("a", e[0])
    gallery.enroll("b", e[1])
    share = np.mean(gallery.identify([e[1]])[0] != "unknown")
    assert share <= fpir
    gallery.threshold = gallery.threshold_at_fpir(e[1:], fpir)
    assert np.mean(gallery.identify(e[1:])[0] != "unknown") <= fpir


@pytest.mark.parametrize("value", [1.5, -75, float("nan")])
def test_a_threshold_that_is_not_a_cosine_is_refused(value):
    with pytest.raises(UserError, match="expected a cosine"):
        Gallery(value)


def test_infinite_thresholds_name_everyone_or_nobody():
    gallery = Gallery(-np.inf)
    gallery.enroll("a", [1.0, 0.0])
    assert gallery.identify([[-1.0, 0.0]])[0][0] == "a"
    gallery.threshold = np.inf
    assert gallery.identify([[1.0, 0.0]])[0][0] == "unknown"


@pytest.mark.parametrize("template", ["mean", "best"])
def test_identities_with_nearly_equal_cosines_are_found(template):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 6)
    x = rng.normal(size=(6, 16))[labels] + 0.01 * rng.normal(size=(36, 16)) + 1000
    enrolled, probes = np.arange(36) % 6 < 3, np.arange(36) % 6 >= 3
    enrolled &= labels < 5  # the last one is unknown
    found = identification.search(
        x[probes], labels[probes], x[enrolled], labels[enrolled], template
    )
    assert found.rank_accuracy(1) == 1
    assert found.open_set().dir_at_fpir(0.5) == 1
    threshold = found.open_set().threshold_at_fpir(0.5)
    assert np.sum(found.best[-3:] >= threshold) == 1
