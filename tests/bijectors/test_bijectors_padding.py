"""Padding and cropping: exact shapes, exact terms, and the ledger that counts them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from nfml_jax.bijectors import Crop, Dequantize, Pad
from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import Ledger

X = np.random.default_rng(0).normal(size=(4, 5, 2, 3)).astype(np.float32)
KEY = jax.random.key(0)


@pytest.mark.parametrize("noise", ["normal", "uniform", "logit_normal"])
def test_a_padded_image_comes_back_and_its_terms_cancel(noise):
    pad = Pad(rows=3, columns=2, noise=noise)
    z, term = pad.apply({}, X, key=KEY)
    x, back = pad.apply({}, z, method="forward_and_log_det")
    np.testing.assert_array_equal(x, X)
    assert z.shape == (4, 8, 4, 3) and term.shape == (4,)
    np.testing.assert_allclose(back, -term, rtol=1e-6)
    assert pad.numbers(X.shape[1:]) == (8 * 4 - 5 * 2) * 3


def test_padding_of_independent_noise_is_exact():
    z, term = Pad(rows=3, columns=2).apply({}, X, key=KEY)
    bound = norm.logpdf(z).sum((1, 2, 3)) + term
    np.testing.assert_allclose(bound, norm.logpdf(X).sum((1, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("first", ["crop", "dequantize"])
def test_a_ledger_counts_padding_and_crops_as_the_full_image(first):
    # Uniform densities of all pixels give log2 K bits, whatever the model sees.
    x = np.zeros((4, 5, 6, 1), np.uint8)
    crop, pad = Crop(rows=1, columns=2), Pad(rows=2, columns=2, noise="uniform")
    if first == "crop":
        y, cropped = crop.apply({}, x)
        y, dequantized = Dequantize(levels=16).apply({}, y, key=KEY)
    else:
        y, dequantized = Dequantize(levels=16).apply({}, x, key=KEY)
        y, cropped = crop.apply({}, y)
    z, padded = pad.apply({}, y, key=KEY)
    assert z.shape == (4, 6, 6, 1)
    counted = crop.numbers(y.shape[1:]) if first == "crop" else 0
    ledger = Ledger(
        x.shape[1:], levels=16, padded=pad.numbers(y.shape[1:]), cropped=counted
    )
    density = np.zeros(4)  # uniform on the unit cube
    ledger.add(
        density=density, dequantize=dequantized, crop=cropped, pad=np.asarray(padded)
    )
    assert ledger.result().mean == pytest.approx(4.0, abs=1e-6)


def test_a_cropped_border_is_drawn_within_the_range_of_pixels():
    x, term = Crop(rows=2, columns=2).apply(
        {}, 9 * jnp.ones((50, 2, 2, 1)), key=KEY, method="forward_and_log_det"
    )
    border = np.asarray(x)[np.asarray(x) != 9]
    assert x.shape == (50, 4, 4, 1) and not term.any()
    assert 0 <= border.min() < 0.05 and 0.95 < border.max() < 1


def test_borders_that_do_not_fit_get_a_sentence():
    with pytest.raises(UserError, match="no key; pass"):
        Pad(rows=1).apply({}, X)
    with pytest.raises(UserError, match=r"drops 5 rows .* images of 5×2"):
        Crop(rows=5).apply({}, X)
    with pytest.raises(UserError, match="rows=-1"):
        Pad(rows=-1)
