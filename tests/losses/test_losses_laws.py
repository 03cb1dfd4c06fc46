"""The laws of every loss: its paper's formula, and what holds of all of them."""

from functools import partial

import numpy as np
import pytest

from nfml_jax.losses import LOSSES
from nfml_jax.losses.two_views import TwoViews
from tests.losses import batch_laws as laws
from tests.losses import batch_reference, pair_reference

KNOWN = laws.LABELS >= 0

# Name -> the formula that the loss is to be equal to.
REFERENCES = {
    "contrastive": pair_reference.contrastive,
    "snr": pair_reference.snr,
    "margin": pair_reference.margin,
    "triplet": pair_reference.triplet,
    "quadruplet": pair_reference.quadruplet,
    "n_pair": pair_reference.n_pair,
    "tuplet_margin": pair_reference.tuplet_margin,
    "angular": pair_reference.angular,
    "lifted_structure": pair_reference.lifted_structure,
    "multi_similarity": pair_reference.multi_similarity,
    "circle": partial(pair_reference.circle, fixed=laws.EMBEDDINGS[KNOWN]),
    "nca": batch_reference.nca,
    "sup_con": batch_reference.sup_con,
    "nt_xent": batch_reference.nt_xent,
    "fast_ap": batch_reference.fast_ap,
    "smooth_ap": batch_reference.smooth_ap,
    "histogram": batch_reference.histogram,
    "barlow_twins": batch_reference.barlow_twins,
    "vicreg": batch_reference.vicreg,
    "proxy_nca": batch_reference.proxy_nca,
    "proxy_nca_plus_plus": batch_reference.proxy_nca_plus_plus,
    "proxy_anchor": batch_reference.proxy_anchor,
    "soft_triple": batch_reference.soft_triple,
    "center": batch_reference.center,
}
OPTIONS = {"margin": {"miner": "all"}}  # its own miner draws pairs at random

every_loss = pytest.mark.parametrize("name", REFERENCES)


def test_each_loss_has_a_reference():
    for name in LOSSES:
        assert name in REFERENCES, (
            f"The loss {name!r} has no reference: add its formula in numpy to "
            "pair_reference.py or batch_reference.py in tests/losses, and a line to "
            "REFERENCES in test_losses_laws.py."
        )


@every_loss
def test_values_and_gradients_equal_the_paper(name):
    laws.check_against(name, REFERENCES[name], **OPTIONS.get(name, {}))


@every_loss
def test_batch_order_does_not_matter(name):
    order = np.random.default_rng(3).permutation(len(laws.LABELS))
    if isinstance(laws.objective(name), TwoViews):
        # Except which view of a pair is the first.
        order = order[np.argsort(laws.LABELS[order], kind="stable")]
        for label in np.unique(laws.LABELS):
            order[laws.LABELS[order] == label] = np.flatnonzero(label == laws.LABELS)
    laws.check_permutation(name, order, **OPTIONS.get(name, {}))


@every_loss
def test_values_and_gradients_are_finite_at_the_edges(name):
    laws.check_edges(name, **OPTIONS.get(name, {}))


@every_loss
def test_embeddings_may_have_any_length(name):
    laws.check_sizes(name, **OPTIONS.get(name, {}))


@every_loss
def test_a_nan_in_the_embeddings_makes_the_loss_nan(name):
    laws.check_nan(name, **OPTIONS.get(name, {}))


@pytest.mark.parametrize(
    "name", ["histogram", "barlow_twins", "proxy_anchor", "center"]
)
def test_two_devices_equal_one(name):
    laws.check_devices(name)
