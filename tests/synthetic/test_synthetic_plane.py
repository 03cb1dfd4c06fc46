"""Densities of the plane: they integrate to one, and the samples follow them."""

import numpy as np
import pytest
from scipy import stats

from nfml_jax.errors import UserError
from nfml_jax.synthetic import plane
from nfml_jax.synthetic.plane import DENSITIES, draw

CELLS = 32
SIDES = {"circles": 2.0, "pinwheel": 8.0, "eight_gaussians": 8.0, "banana": 32.0}


def masses(density, low, high, cells=CELLS, inner=8):
    """The probability of each cell `[cells, cells]` of a square, by the midpoint rule.

    Rows are intervals of the first coordinate.
    """
    edges = np.linspace(low, high, cells * inner + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), -1)
    p = np.exp(density.log_prob(grid.reshape(-1, 2))) * (edges[1] - edges[0]) ** 2
    return p.reshape(cells, inner, cells, inner).sum((1, 3))


@pytest.mark.parametrize("name", DENSITIES)
def test_density_integrates_to_one_and_is_that_of_the_samples(name):
    density = DENSITIES[name]
    x = draw(name, "test", 40_000)
    # A square around all of it, of a width whose cells fit the pictures' pixels.
    side = SIDES.get(name, 4.0)
    assert np.abs(x).max() < side
    p = masses(density, -side, side)
    assert p.sum() == pytest.approx(1, abs=1e-6)
    edges = np.linspace(-side, side, CELLS + 1)
    counts = np.histogram2d(*x.T, [edges, edges])[0]
    many = p * len(x) > 8
    observed = np.append(counts[many], counts[~many].sum())
    expected = np.append(p[many], max(1 - p[many].sum(), 1e-12)) * len(x)
    keep = expected > 1
    chi2 = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(chi2, keep.sum() - 1) > 1e-4


@pytest.mark.parametrize("name", DENSITIES)
def test_samples_lie_in_the_support_and_far_points_do_not(name):
    density = DENSITIES[name]
    x = draw(name, "train", 2_000)
    assert x.dtype == np.float32 and x.shape == (2_000, 2)
    assert np.isfinite(density.log_prob(x)).all()
    far = density.log_prob([[1e3, -1e3], [-40.0, 3.0]])
    assert not np.isnan(far).any() and (far < -50).all()
    assert density.log_prob(np.zeros((0, 2))).shape == (0,)


def test_splits_and_seeds_are_independent_and_repeatable():
    parts = [
        draw("banana", split, 5, seed) for split in plane.SPLITS for seed in (0, 1)
    ]
    assert len({part.tobytes() for part in parts}) == 6
    np.testing.assert_array_equal(draw("banana", "train", 5, 0), parts[0])


def test_a_picture_keeps_its_shape_and_orientation(tmp_path):
    bright_above = plane.picture(np.array([[0.0, 3.0], [0.0, 1.0], [0.0, 0.0]]))
    x = bright_above.sample(np.random.default_rng(0), 1000)
    assert (x[:, 0] > 0).all() and (x[:, 1] > -4 / 3).all()
    assert (x[:, 1] > 4 / 3).mean() == pytest.approx(0.75, abs=0.05)
    from PIL import Image

    Image.fromarray(np.full((2, 2), 9, np.uint8)).save(tmp_path / "a.png")
    even = plane.picture(tmp_path / "a.png").log_prob([[1.0, 1.0], [4.1, 0.0]])
    np.testing.assert_allclose(even, [-np.log(64), -np.inf])


@pytest.mark.parametrize("image", [np.zeros((2, 2)), -np.eye(2), np.zeros(3)])
def test_an_image_without_brightness_is_refused(image):
    with pytest.raises(UserError, match="brightness"):
        plane.picture(image).log_prob([[0.0, 0.0]])


def test_mistakes_are_sentences(tmp_path):
    with pytest.raises(UserError, match="did you mean 'banana'"):
        draw("bananas", "train", 1)
    with pytest.raises(UserError, match="train, validation, test"):
        draw("banana", "valid", 1)
    with pytest.raises(UserError, match=r"\[points, 2\]"):
        DENSITIES["banana"].log_prob([1.0, 2.0])
    with pytest.raises(UserError, match="cannot be read"):
        plane.picture(tmp_path / "none.png").log_prob([[0.0, 0.0]])
