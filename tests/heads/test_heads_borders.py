"""Labels and embeddings of every kind as inputs of all heads."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import MARGINS, make_head

CLASSES, SIZE = 5, 4
LABELS = np.array([0, 4, 2, 1, 0, 3])
X = np.random.default_rng(0).normal(size=(len(LABELS), SIZE)).astype(np.float32)
every_head = pytest.mark.parametrize("name", MARGINS)


@functools.cache
def head_of(name):
    """Return the head, and the shapes of its variables."""
    head = make_head(CLASSES, SIZE, name=name)
    return head, jax.eval_shape(head.init, jax.random.key(0), X, LABELS)


def traced(name, labels, x=X):
    """Trace the loss of labels that are known."""
    head, variables = head_of(name)
    return jax.eval_shape(lambda v: head.apply(v, x, labels).loss, variables)


REFUSED = {
    r"shape \[6\] and type float64; .*astype\(int\)": LABELS * 1.0,
    "numpy.unique": LABELS.astype(str),
    r"\[6, 5\] .*argmax": np.eye(CLASSES)[LABELS],
    r"\[5\] .* 6 rows": LABELS[1:],
    r"range from 0 to 5; expected 0 to 4": LABELS + (LABELS == 4),
    "range from 0 to 4294967297": LABELS + 2**32 * (LABELS == 1),
}


@every_head
def test_invalid_labels_raise_an_error(name):
    for sentence, labels in REFUSED.items():
        with pytest.raises(UserError, match=sentence):
            traced(name, labels)
    for x in (X[0], X[..., None]):
        with pytest.raises(UserError, match=r"embeddings have shape .*\[B, D\]"):
            traced(name, LABELS, x)


@every_head
def test_a_batch_may_be_empty(name):
    assert traced(name, [], X[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "summation"), [("arcface", "dense"), ("softmax", "streamed")]
)
def test_labels_of_every_width_and_shape_give_the_same_loss(name, summation):
    """Labels are traced and known, with more classes than 8 bits count."""
    head = make_head(300, SIZE, name=name, summation=summation, class_chunk=64)

    @jax.jit
    def losses(x, *several):
        params = head.init(jax.random.key(0), x, LABELS)
        kinds = *several, LABELS.tolist(), LABELS[:, None].astype(np.uint64)
        return jnp.asarray([head.apply(params, x, kind).loss for kind in kinds])

    traced = [LABELS.astype(k) for k in (np.int32, np.uint8, np.int8, np.int16)]
    found = losses(X, *traced, LABELS[:, None])
    assert (found == found[:1]).all() and (found > 0).all()


@pytest.mark.parametrize("name", ["adaface", "magface", "elastic_arcface"])
def test_margins_that_differ_between_examples_work_outside_jit(name):
    head, shapes = head_of(name)
    variables = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), shapes)
    assert head.apply(variables, X, LABELS).loss.shape == LABELS.shape
