"""Pair and triplet losses: what is said of single ones, and of their options."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.losses import LOSSES, MINERS, make_loss
from nfml_jax.losses.bounded_memory import over_positives
from nfml_jax.losses.metrics import METRICS
from tests.losses import batch_laws as laws
from tests.losses import pair_reference as reference
from tests.variants import check_variants, every_variant

KNOWN = laws.LABELS >= 0


def test_a_soft_margin_of_cosines():
    options = {"margin": "soft", "miner": "all", "metric": "cosine"}
    laws.check_against("triplet", reference.soft_triplet, **options)


def test_the_loss_logs_distances_and_the_active_share():
    known, x = laws.LABELS[KNOWN], laws.EMBEDDINGS[KNOWN]
    d = reference.euclidean(reference.unit(x))
    positive, negative = masks(known)
    logged = laws.run("contrastive")[3]
    for sign, mask in (("positive", positive), ("negative", negative)):
        mean = np.mean([row[of].mean() for row, of in zip(d, mask, strict=True)])
        np.testing.assert_allclose(logged[f"{sign}_distance"], mean, rtol=1e-5)
    near = np.mean((positive & (d > 0)).sum(1) / positive.sum(1))
    far = np.mean((negative & (d < 1)).sum(1) / negative.sum(1))
    np.testing.assert_allclose(logged["active"], (near + far) / 2, rtol=1e-5)

    of_triplets = []
    for a in range(len(d)):
        positives, choose = reference.semi_hard(d[a], *reference.others(known, a))
        lost = [d[a, p] - d[a, n] + 0.2 > 0 for p in positives for n in choose(p)]
        of_triplets.append(np.mean(lost))
    active = laws.run("triplet")[3]["active"]
    np.testing.assert_allclose(active, np.mean(of_triplets), rtol=1e-5)


def test_a_random_miner_without_a_key_raises_an_error():
    objective, given = laws.objective("margin"), laws.variables("margin")
    with pytest.raises(UserError, match=r"DistanceWeighted draws at random.*'mining'"):
        objective.apply(given, laws.EMBEDDINGS, laws.LABELS)


def test_triplets_take_the_memory_of_pairs():
    rows = 128
    x = jax.ShapeDtypeStruct((rows, 4), np.float32)
    labels = jax.ShapeDtypeStruct((rows,), np.int32)
    compiled = laws.program("triplet").lower(x, labels, {}).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * rows**3 / 4


def masks(labels):
    same = labels[:, None] == labels
    return same & ~np.eye(len(labels), dtype=bool), ~same


def test_miners_select_the_triplets_of_a_brute_force_search():
    assert {*MINERS} == {*reference.MINES, "distance_weighted"}
    labels = laws.LABELS[KNOWN]
    d = reference.euclidean(reference.unit(laws.EMBEDDINGS[KNOWN])).astype(np.float32)
    loss = make_loss(5, 4, name="triplet", margin=reference.MARGIN).loss
    miners = {name: MINERS[name]().fitted(loss, 4) for name in reference.MINES}
    positive, negative = masks(labels)

    @jax.jit
    def all_chosen(d):
        chosen = {}
        for name, miner in miners.items():
            kept, left = miner.pairs(d, positive, negative)

            def step(taken, column, number, miner=miner, left=left):
                here = jnp.arange(len(d)) == column[:, None]
                triplets = miner.triplets(d, column, number, left, None)
                return taken | (here[:, :, None] & triplets[:, None, :])

            nothing = jnp.zeros((len(d),) * 3, bool)
            triplets = over_positives(step, kept, nothing)
            chosen[name] = triplets, miner.union(d, positive, negative)
        return chosen

    for name, (triplets, (near, far)) in jax.device_get(all_chosen(d)).items():
        expected = np.zeros_like(triplets)
        for a in range(len(d)):
            positives, choose = reference.MINES[name](
                d[a], *reference.others(labels, a)
            )
            for p in positives:
                expected[a, p, choose(p)] = True
        np.testing.assert_array_equal(triplets, expected, name)
        if name != "multi_similarity":  # which keeps pairs of one kind alone, too
            np.testing.assert_array_equal(near, expected.any(2) | (near & ~far.any(1)))
        np.testing.assert_array_equal(far[near.any(1)], expected.any(1)[near.any(1)])


def test_distance_weighted_draws_by_the_inverse_density():
    # One anchor and all of its negatives but the first; the last is out of reach.
    d = np.array([[0.0, 0.1, 0.6, 0.9, 1.2, 1.39, 1.5]], np.float32)
    negative = np.arange(7)[None] > 0
    loss = make_loss(2, 5, name="margin").loss
    miner = MINERS["distance_weighted"]().fitted(loss, 5)
    keys = jax.random.split(jax.random.key(0), 4000)
    draw = jax.jit(
        jax.vmap(
            lambda d, key: miner.negatives(d, None, negative, key[None]), (None, 0)
        )
    )
    drawn = jax.device_get(draw(d, keys))[:, 0]
    assert (drawn.sum(1) == 1).all()
    clipped = np.maximum(d[0, 1:6].astype(float), 0.5)
    density = clipped**3 * (1 - clipped**2 / 4)
    expected = (1 / density) / np.sum(1 / density)
    np.testing.assert_allclose(drawn.mean(0)[1:6], expected, atol=0.03)
    assert not drawn[:, [0, 6]].any()
    # With none within reach, any will do.
    anywhere = jax.device_get(draw(d + 1.5, keys))[:, 0]
    assert (anywhere.sum(1) == 1).all() and not anywhere[:, 0].any()


def test_distances_of_near_and_equal_points_are_exact():
    x = np.float32([[1.0, 0.0], [1.0, 1e-5], [0.8, 0.6], [0.0, 0.0]])
    apart = METRICS["euclidean"].values(x, x)
    np.testing.assert_allclose(apart, reference.euclidean(x), rtol=1e-5)
    assert (np.diag(apart) == 0).all()


def test_memory_holds_the_last_rows_as_references():
    rng = np.random.default_rng(5)
    batches = rng.normal(size=(3, 4, 3)).astype(np.float32)
    labels = np.array([[0, 1, 0, 1], [1, 0, 1, -1], [0, 0, 1, 1]])
    memory = {"memory": 6, "memory_start": 2, "chunk": 3}
    objective = make_loss(2, 3, name="contrastive", **memory)
    state = jax.jit(objective.init)(jax.random.key(0), batches[0], labels[0])
    apply = jax.jit(partial(objective.apply, mutable=["memory"]))
    losses = []
    for step, (x, y) in enumerate(zip(batches, labels, strict=True)):
        out, state = apply(state, x, y, step)
        losses.append(out.loss)
    kept = state["memory"]["past"]
    # Twelve rows have come: the ring is full twice over.
    last = reference.unit(batches.reshape(-1, 3))[6:]
    np.testing.assert_allclose(kept["embeddings"], last, rtol=1e-5)
    np.testing.assert_array_equal(kept["labels"], labels.reshape(-1)[6:])

    known = labels[1] >= 0
    without = reference.contrastive(batches[1][known], labels[1][known], {})
    np.testing.assert_allclose(losses[1], without, rtol=1e-5)
    x, y = (a.reshape(12, *a.shape[2:])[2:8] for a in (batches, labels))
    d = reference.euclidean(reference.unit(np.concatenate([batches[2], x])))
    y = np.concatenate([labels[2], y])
    pairs = [(a, i) for a in range(4) for i in range(10) if a != i and y[i] >= 0]
    near = [d[a, i] ** 2 for a, i in pairs if y[a] == y[i]]
    far = [max(1 - d[a, i], 0) ** 2 for a, i in pairs if y[a] != y[i]]
    expected = reference.mean(near) + reference.mean(reference.active(far))
    np.testing.assert_allclose(losses[2], expected, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_table_describes_each_loss(name):
    objective = make_loss(laws.CLASSES, laws.SIZE, name=name)
    loss = getattr(objective, "loss", objective)
    assert loss.formula() and loss.needs and loss.paper[-4:].isdigit()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "tripplet"}, "did you mean 'triplet'"),
        ({"name": "triplet", "margn": 1}, "did you mean 'margin'"),
        (
            {"name": "triplet", "margin": -1},
            "margin=-1; expected a number of at least 0",
        ),
        ({"name": "triplet", "margin": "sof"}, "margin='sof'"),
        ({"name": "triplet", "metric": "cosin"}, "expected one of 'cosine'"),
        ({"name": "triplet", "miner": "semihard"}, "did you mean 'semi_hard'"),
        ({"name": "triplet", "miner": {"name": "easy", "margins": 1}}, "'margin'"),
        ({"name": "triplet", "miner": {"margin": 1}}, "without a name; give it"),
        ({"name": "margin", "num_classes": 0}, "num_classes=0"),
        ({"name": "n_pair", "miner": "easy"}, "NPair has no margin to take"),
        ({"name": "n_pair", "miner": "distance_weighted"}, "metric='inner'"),
        ({"name": "proxy_anchor", "miner": "hard"}, "has no pairs to mine"),
        ({"name": "circle", "chunk": 0}, "chunk=0; expected an integer"),
        ({"name": "angular", "angle": 0.7}, "angle=0.7; expected a number in"),
    ],
)
def test_invalid_values_raise_an_error(given, sentence):
    given = {"num_classes": laws.CLASSES} | given
    with pytest.raises(UserError, match=sentence):
        make_loss(embedding_size=laws.SIZE, **given)


def test_labels_and_embeddings_must_fit():
    objective = make_loss(5, 4, name="triplet")
    with pytest.raises(UserError, match=r"labels have shape \[13\].*14 rows"):
        objective.apply({}, laws.EMBEDDINGS, laws.LABELS[1:])
    with pytest.raises(UserError, match=r"type float64; .*astype\(int\)"):
        objective.apply({}, laws.EMBEDDINGS, laws.LABELS * 1.0)


def test_rows_of_unknown_classes_are_padding():
    x = jax.random.normal(jax.random.key(0), (6, 3))
    loss = make_loss(2, 3, name="margin", miner="all")
    known = jnp.array([0, 0, 1, 1, -1, -1])
    variables = loss.init(jax.random.key(0), x, known)
    # Labels that are known where it is called would be refused.
    value = jax.jit(jax.value_and_grad(lambda v, l: loss.apply(v, x, l).loss))
    expected, gradient = value(variables, known)
    found, same = value(variables, jnp.array([0, 0, 1, 1, 7, 7]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    for one, other in zip(*map(jax.tree.leaves, (gradient, same)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


class TestVariants(chex.TestCase):
    """Metrics are pure functions: the same compiled, mapped and over devices."""

    @every_variant
    def test_values(self):
        rng = np.random.default_rng(2)
        anchors, references = (
            jnp.asarray(rng.normal(size=(rows, 6)), jnp.float32) for rows in (4, 5)
        )

        def values(anchors, references):
            return {
                name: metric.values(anchors, references)
                for name, metric in METRICS.items()
            }

        def by_anchor(anchors, references):
            one = lambda anchor: values(anchor[None], references)  # noqa: E731
            return jax.tree.map(lambda x: x[:, 0], jax.vmap(one)(anchors))

        pairs = anchors, references
        check_variants(self.variant, values, by_anchor, *pairs, tolerance=1e-4)
