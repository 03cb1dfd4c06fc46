"""Statistics and random numbers of margins, against numpy and over devices."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import (
    AdaCos,
    AdaFace,
    CosFace,
    CurricularFace,
    ElasticArcFace,
    ElasticCosFace,
    MarginHead,
    SphereFace2,
    SubCenterArcFace,
)
from nfml_jax.heads.margins import Rows
from tests.heads.heads_reference import EXAMPLES, statistics_of

B, C, D = 8, 5, 3
VALID = np.array([True] * 6 + [False] * 2)
FOLLOWING = [m for m in EXAMPLES.values() if m.initial_statistics(C)]
every_following = pytest.mark.parametrize(
    "margin", FOLLOWING, ids=lambda m: type(m).__name__
)


def rows(valid=VALID):
    rng = np.random.default_rng(0)
    cosine = rng.uniform(-1, 1, B)
    cosine, norm, others = (
        jnp.asarray(v, jnp.float32)
        for v in (cosine, rng.uniform(1, 9, B), rng.normal(3, 1, B))
    )
    label = jnp.array([0, 0, 0, 1, 4, 4, 3, 0])
    return Rows(cosine, norm, others, label, jnp.arange(B) % 3, jnp.asarray(valid))


def informed(margin):
    statistics = statistics_of(margin, np.float32)
    return dataclasses.replace(margin, **jax.tree.map(jnp.asarray, statistics))


def moved(margin, **fields):
    return jax.device_get(informed(margin).moved(rows(**fields)))


def test_t_of_curricularface_is_the_moving_average_of_the_target_cosine():
    mean = np.mean(rows().cosine[VALID])
    np.testing.assert_allclose(
        moved(CurricularFace())["t"], 0.99 * 0.3 + 0.01 * mean, rtol=1e-6
    )


def test_adaface_tracks_mean_and_deviation_of_norms():
    norms, found = np.asarray(rows().norm)[VALID], moved(AdaFace(momentum=0.9))
    mean, deviation = 0.9 * 4.0 + 0.1 * norms.mean(), norms.std(ddof=1)
    np.testing.assert_allclose(found["norm_mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(found["norm_deviation"], 0.45 + 0.1 * deviation, 1e-6)


def test_adacos_uses_the_median_angle_and_the_mean_sum():
    got = rows()
    b = np.exp(np.asarray(got.others)[VALID]).mean()
    angle = np.median(np.arccos(np.asarray(got.cosine)[VALID]))
    expected = np.log(b) / np.cos(min(np.pi / 4, angle))
    np.testing.assert_allclose(moved(AdaCos())["scale"], expected, rtol=1e-5)
    fixed = np.sqrt(2) * np.log(C - 1)
    for scale, used in ((1e9, 2 * fixed), (-1.0, 0.1 * fixed)):
        found = dataclasses.replace(AdaCos(), scale=jnp.asarray(scale)).own_scale(C)
        np.testing.assert_allclose(found, used, rtol=1e-6)
    assert informed(AdaCos(dynamic=False)).moved(got) == {}
    assert MarginHead(C, AdaCos(dynamic=False)).formula() == "s·cos θ"


def test_counts_of_subcenters_decay_with_examples_of_the_class():
    wins = moved(SubCenterArcFace(momentum=0.5))["wins"]
    np.testing.assert_allclose(wins[0], [1 / 8 + 1] * 3)
    np.testing.assert_allclose(wins[1], [1.5, 0.5, 0.5])
    np.testing.assert_allclose(wins[4], [0.25, 1.25, 1.25])
    np.testing.assert_allclose(wins[2:4], 1.0)  # class 3 is padding


@every_following
def test_a_batch_of_padding_changes_nothing(margin):
    expected = statistics_of(margin, np.float32)
    jax.tree.map(
        np.testing.assert_array_equal, moved(margin, valid=np.zeros(B, bool)), expected
    )


@functools.cache
def on_devices():
    """Return statistics and losses of a batch, on one device and shared by two."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(B, D)).astype(np.float32)
    labels = np.where(VALID, rng.integers(0, C, B), -1)

    def both(margin, x, labels):
        variables = MarginHead(C, margin).init(jax.random.key(0), x, labels)

        def step(x, labels, axis_name=None):
            head = MarginHead(C, margin, axis_name=axis_name)
            out, changed = head.apply(variables, x, labels, mutable=["statistics"])
            return out.loss, changed["statistics"]

        shares = jax.vmap(functools.partial(step, axis_name="i"), axis_name="i")
        split = shares(x.reshape(2, -1, D), labels.reshape(2, -1))
        return variables["statistics"], step(x, labels), split

    every = jax.jit(lambda x, y: [both(margin, x, y) for margin in FOLLOWING])
    return dict(
        zip(map(type, FOLLOWING), jax.device_get(every(x, labels)), strict=True)
    )


@every_following
def test_all_devices_have_the_statistics_of_the_global_batch(margin):
    start, (loss, whole), (losses, shares) = on_devices()[type(margin)]
    np.testing.assert_allclose(losses.reshape(-1), loss, rtol=1e-5, atol=1e-5)
    for name, value in whole.items():
        assert not np.allclose(value, start[name], rtol=1e-6)
        for share in shares[name]:
            np.testing.assert_allclose(share, value, rtol=1e-5)


@every_following
def test_statistics_have_their_initial_values_after_init(margin):
    start, _, _ = on_devices()[type(margin)]
    jax.tree.map(
        np.testing.assert_allclose, start, jax.device_get(margin.initial_statistics(C))
    )


def test_statistics_stay_while_their_collection_is_not_mutable():
    head, x, labels = MarginHead(C, CurricularFace()), np.ones((B, D)), np.zeros(B, int)
    variables = jax.eval_shape(head.init, jax.random.key(0), x, labels)
    out = jax.eval_shape(head.apply, variables, x, labels)
    assert out.loss.shape == (B,) and out.logged["t"].shape == ()


def test_adacos_needs_three_classes_and_no_scale():
    with pytest.raises(UserError, match="AdaCos got 2 classes"):
        MarginHead(2, AdaCos())
    with pytest.raises(UserError, match=r"finds its own scale, but got scale=24\.0"):
        MarginHead(5, AdaCos(), 24.0)


@pytest.mark.parametrize("kind", [ElasticArcFace, ElasticCosFace])
def test_elastic_margins_are_drawn_around_their_mean(kind):
    noise = np.array([-9.0, 0.0, 2.0, -1.0])
    cosine = np.array([0.9, -0.2, 0.5, 0.1])
    drawn = kind(0.3, deviation=0.1).for_examples(cosine, None, noise).margin
    np.testing.assert_allclose(drawn, [0.0, 0.3, 0.5, 0.2], rtol=1e-6)
    farthest_first = kind(plus=True).assigned(noise, cosine)
    np.testing.assert_allclose(farthest_first, [-9.0, 2.0, -1.0, 0.0])


def test_elastic_margins_are_random_only_with_a_random_stream():
    x, labels = np.random.default_rng(0).normal(size=(B, D)), np.arange(B) % C
    head = MarginHead(C, ElasticCosFace(0.3, deviation=0.1), 4.0)
    variables = head.init(jax.random.key(0), x, labels)

    def losses(head, **rngs):
        return head.apply(variables, x, labels, rngs=rngs).loss

    plain = losses(MarginHead(C, CosFace(0.3), 4.0))
    np.testing.assert_allclose(losses(head), plain, rtol=1e-6)
    first, again, other = (losses(head, margin=jax.random.key(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any() and not np.isclose(first, plain).any()


@pytest.mark.parametrize("classes", [2, 4, 10, 1000])
@pytest.mark.parametrize("scale", [8.0, 64.0])
def test_the_initial_bias_of_sphereface2_has_gradient_zero_at_right_angles(
    classes, scale
):
    margin = SphereFace2()
    bias = float(margin.initial_bias(classes, scale))
    right, wrong = (
        1 / (1 + np.exp(-np.float64(scale * float(g) + bias)))
        for g in (margin.phi(jnp.zeros(())), margin.negatives(jnp.zeros(()), None))
    )
    pull, push = 0.7 * (1 - right), 0.3 * (classes - 1) * wrong
    np.testing.assert_allclose(pull, push, rtol=1e-4)
