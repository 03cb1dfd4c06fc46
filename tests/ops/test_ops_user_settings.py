"""The package works under settings of JAX that find mistakes in users' code."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import mahalanobis
from nfml_jax.bijectors.catalogue import BIJECTORS
from nfml_jax.evaluation import (
    anomaly,
    baselines,
    class_angles,
    clustering,
    identification,
    neighbors,
    retrieval,
    spread,
    verification,
)
from nfml_jax.heads.margins.plain import AdaCos
from nfml_jax.nets import NETS, make_net
from nfml_jax.nets.conditioners import MLP, ResidualNet
from nfml_jax.nets.made import MADE, ResMADE
from tests.slow import slow

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(24, 4)).astype(np.float32)
LABELS = np.arange(24) % 3
CENTERS = RNG.normal(size=(3, 4)).astype(np.float32)
IMAGES = RNG.integers(0, 255, (24, 4, 4, 1)).astype(np.uint8)
KEY = jax.random.key(0)


# Couplings by other transforms, whose rules of derivatives their own laws trace.
COUPLINGS = [n for n in BIJECTORS if n.startswith("coupling_") and "affine" not in n]


@pytest.mark.parametrize(
    "name", slow([n for n, e in BIJECTORS.items() if e.exact], COUPLINGS)
)
def test_bijectors_work_without_rank_promotion(name):
    entry = BIJECTORS[name]
    bijector = entry.make(entry.takes_context)
    x = jnp.full((6, 4), 0.5)
    context = jnp.ones((6, 2)) if entry.takes_context else None

    def total(x, variables, context):
        # Differentiated from outside of jit, rules of derivatives run on their own.
        def sums(x):
            y, log_det = bijector.apply(variables, x, context)
            back = bijector.apply(variables, y, context, method="inverse")
            return y.sum() + log_det.sum() + back.sum()

        return jax.jvp(jax.jit(sums), (x,), (x,))

    with jax.numpy_rank_promotion("raise"):
        variables = jax.eval_shape(bijector.init, KEY, x, context)
        jax.eval_shape(total, x, variables, context)


def test_networks_work_without_rank_promotion():
    with jax.numpy_rank_promotion("raise"):
        for name in NETS:
            net = make_net(name, 8)
            images = jnp.zeros((2, 8, 8, 1))
            jax.eval_shape(lambda n=net, x=images: n.init(KEY, x, train=True))
        for net in (MLP(), ResidualNet(), MADE(), ResMADE()):
            arguments = jnp.zeros((2, 4)), jnp.zeros((2, 3)), 2
            jax.eval_shape(lambda n=net, a=arguments: n.init(KEY, *a))


def test_evaluation_works_under_strict_settings():
    # At once, as each setting compiles everything anew.
    with jax.numpy_rank_promotion("raise"), jax.debug_nans(True):
        anomaly.knn_distance(ROWS, ROWS[:5], 2)
        for embed in baselines.fit(IMAGES, LABELS).values():
            embed(IMAGES)
        clustering.metrics(ROWS, LABELS)
        class_angles.angle_statistics(ROWS, LABELS, CENTERS)
        spread.uniformity(ROWS)
        spread.hubness(ROWS, 3)
        found = identification.search(ROWS[:6], LABELS[:6], ROWS[6:], LABELS[6:])
        identification.metrics(found, ranks=(1,))
        for metric in ("cosine", "euclidean"):
            neighbors.top_k(ROWS, ROWS, 3, metric)
            retrieval.metrics(ROWS, np.r_[[9], LABELS[1:]], metric=metric)
        verification.all_pairs(ROWS, LABELS)
        verification.pair_scores(ROWS, ROWS)
        mahalanobis.lmnn(ROWS, LABELS, steps=2)
        mahalanobis.nca(ROWS, LABELS, steps=2)


def test_adacos_leaves_examples_out_without_nan():
    few = {"cosine": jnp.array([0.9, 0.2, 0.5]), "others": jnp.array([1.0, 2.0, 3.0])}
    adacos = AdaCos(scale=jnp.float32(3.0))
    with jax.debug_nans(True):
        for valid in ([True, False, True], [True, True, True], [False, False, False]):
            rows = SimpleNamespace(valid=jnp.array(valid), **few)
            scale = adacos.moved(rows)["scale"]
            expected = 3.0
            if any(valid):
                angle = np.median(np.arccos(few["cosine"])[np.array(valid)])
                mean = np.exp(few["others"])[np.array(valid)].mean()
                expected = np.log(mean) / np.cos(min(angle, np.pi / 4))
            np.testing.assert_allclose(scale, expected, rtol=1e-5)
