"""Laws of random samples of the classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import CosFace, MarginHead, UniformFace
from nfml_jax.heads.classes import NO_CLASS, Classes, sampled

C, FIRST = 40, 100


def drawn(labels, share, seed=0, real=C):
    number = FIRST + np.arange(C)
    number = jnp.where(np.arange(C) < real, number, NO_CLASS)
    classes = Classes(jnp.arange(C)[:, None], None, number)
    draw = jax.jit(sampled, static_argnums=2)
    found = draw(classes, jnp.asarray(labels), share, jax.random.key(seed))
    np.testing.assert_array_equal(found.weights[:, 0] + FIRST, np.asarray(found.number))
    return np.asarray(found.number)


def test_a_sample_has_the_classes_of_the_batch_and_no_class_twice():
    labels = [103, 139, 103, 7, 400]  # two of them are others' classes
    found = drawn(labels, 0.25)
    assert len(found) == len(set(found)) == 10 and {103, 139} <= set(found)
    assert set(found) != set(drawn(labels, 0.25, seed=1))


def test_a_small_share_has_room_for_every_label():
    labels = FIRST + np.arange(12)
    assert set(drawn(labels, 0.01)) == set(labels)
    assert len(drawn(np.arange(C + 5), 0.01)) == C


def test_padding_classes_are_not_drawn():
    assert NO_CLASS not in drawn([101], 0.5, real=20)


def test_a_head_sums_over_the_sampled_classes_only():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 5)).astype(np.float32)
    labels = np.array([1, 5, 5, 30])
    head = MarginHead(C, CosFace(), class_share=0.25)
    assert head.summed_over() == "Partial FC, 0.25"

    @jax.jit
    def losses(weights):
        """Return losses over a sample and over all, and the gradient of the first."""

        def loss(weights, **rngs):
            variables = {"params": {"weights": weights}}
            return head.apply(variables, x, labels, rngs=rngs).loss.sum()

        key = jax.random.key(1)
        return jax.value_and_grad(loss)(weights, classes=key), loss(weights)

    weights = rng.normal(size=(C, 5)).astype(np.float32)
    (of_sample, grads), of_all = losses(weights)
    moved = np.abs(grads).max(axis=1) > 0
    assert moved.sum() == 10 and moved[[1, 5, 30]].all()
    assert of_sample < of_all


def test_repelling_centers_need_all_classes():
    with pytest.raises(UserError, match="UniformFace needs all classes"):
        MarginHead(C, UniformFace(), class_share=0.5)
