"""Labels and embeddings of every kind as inputs of all losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.losses import LOSSES, MINERS
from tests.losses import batch_laws as laws

LABELS = np.maximum(laws.LABELS, 0)
every_loss = pytest.mark.parametrize("name", LOSSES)
# Losses in which a label is the number of a class.
OF_CLASSES = [
    "margin",
    "proxy_nca",
    "proxy_nca_plus_plus",
    "proxy_anchor",
    "soft_triple",
    "center",
]


def traced(name, labels, x=laws.EMBEDDINGS, **options):
    """Trace a loss of labels that are known."""
    given = laws.variables(name, **options)
    apply = laws.objective(name, **options).apply
    rngs = {"mining": jax.random.key(0)}
    return jax.eval_shape(lambda v: apply(v, x, labels, rngs=rngs).loss, given)


@every_loss
def test_invalid_labels_raise_an_error(name):
    for sentence, labels in {
        r"type float64; .*astype\(int\)": LABELS * 1.0,
        "numpy.unique": LABELS.astype(str),
        "argmax": np.eye(5)[LABELS],
        r"\[13\] .* 14 rows": LABELS[1:],
        r"numpy.unique\(labels, return_inverse=True\)|range": LABELS + 2**32,
    }.items():
        with pytest.raises(UserError, match=sentence):
            traced(name, labels)
    with pytest.raises(UserError, match=r"shape \[14, 4, 1\].*\[B, D\]"):
        traced(name, LABELS, laws.EMBEDDINGS[..., None])


@every_loss
def test_unknown_classes_raise_an_error(name):
    if name in OF_CLASSES:
        with pytest.raises(UserError, match="range from 0 to 7; expected 0 to 4"):
            traced(name, LABELS + 4 * (LABELS == 3))
    else:
        assert traced(name, LABELS + 4 * (LABELS == 3)).shape == ()


def test_an_unknown_class_under_jit_is_padding():
    labels = np.where(laws.LABELS == 3, laws.CLASSES, laws.LABELS)
    padded = np.where(laws.LABELS == 3, -1, laws.LABELS)
    found, expected = (
        laws.run("margin", labels=y, miner="all") for y in (labels, padded)
    )
    np.testing.assert_array_equal(found[0], expected[0])


@every_loss
def test_a_batch_may_be_empty(name):
    assert traced(name, [], laws.EMBEDDINGS[:0]).shape == ()


@pytest.mark.parametrize("miner", MINERS)
def test_a_batch_with_a_miner_may_be_empty(miner):
    assert traced("triplet", [], laws.EMBEDDINGS[:0], miner=miner).shape == ()


def test_labels_of_every_width_and_shape_give_the_same_loss():
    names = ("triplet", "sup_con", "proxy_anchor")

    @jax.jit
    def losses(x, labels, *several):
        kinds = labels, *several, laws.LABELS.tolist(), laws.LABELS[:, None]
        return jnp.asarray(
            [
                [laws.objective(n).apply(laws.variables(n), x, k).loss for k in kinds]
                for n in names
            ]
        )

    several = [laws.LABELS.astype(k) for k in (np.int8, np.int16)]
    found = losses(laws.EMBEDDINGS, laws.LABELS, *several, laws.LABELS[:, None])
    assert (found == found[:, :1]).all() and (found > 0).all()
