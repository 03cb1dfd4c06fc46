"""Grids fit the heat maps, limits ignore outliers, and animations follow the layers."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from nfml_jax import plots


def test_limits_hold_nearly_all_points_and_no_outlier():
    points = np.random.default_rng(0).uniform(-1, 3, (10_000, 2))
    points[0] = 1e6
    (x0, x1), (y0, y1) = plots.limits_around(points, np.full((1, 2), np.nan))
    assert (x0, y0) == pytest.approx((-1.24, -1.24), abs=0.02)
    assert (x1, y1) == pytest.approx((3.24, 3.24), abs=0.02)


def test_a_grid_holds_the_centers_of_cells_from_the_lowest_row_up():
    grid = plots.grid_points(((0.0, 4.0), (10.0, 12.0)), 4)
    assert grid.dtype == np.float32 and grid.shape == (16, 2)
    np.testing.assert_array_equal(grid[:4, 0], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(grid[::4, 1], [10.25, 10.75, 11.25, 11.75])


def test_a_heat_map_has_its_first_row_below():
    log_probs = np.full((3, 3), -np.inf)
    log_probs[0, 2] = 0
    figure = plots.density_map(log_probs, ((0.0, 3.0), (0.0, 3.0)))
    image = figure.axes[0].images[0]
    assert image.origin == "lower"
    assert image.get_extent() == [0.0, 3.0, 0.0, 3.0]
    np.testing.assert_array_equal(image.get_array(), np.exp(log_probs))


def test_frames_lead_through_every_layer_and_become_a_gif(tmp_path):
    base = np.random.default_rng(0).normal(size=(50, 2))
    points = np.stack([base, base + 3, -base])
    frames = plots.layer_frames(points, base, title="A", steps=3, pause=2)
    # The base, two layers of three steps and a pause, and the end.
    assert len(frames) == 4 + 2 * (3 + 2) + 8
    assert len({frame.shape for frame in frames}) == 1
    still = [np.array_equal(a, b) for a, b in pairwise(frames)]
    assert sum(not same for same in still) == 6
    plots.save_animation(frames, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.info["loop"] == 0
        shown = [np.asarray(gif.convert("RGB"), float)]
        total = gif.info["duration"]
        while gif.tell() + 1 < gif.n_frames:
            gif.seek(gif.tell() + 1)
            total += gif.info["duration"]
            shown.append(np.asarray(gif.convert("RGB"), float))
    # Equal frames may be joined, but none is lost nor much changed in color.
    assert total == pytest.approx(len(frames) * 1000 / 12, rel=0.05)
    assert np.abs(shown[0] - frames[0]).mean() < 3
    assert np.abs(shown[-1] - frames[-1]).mean() < 3


@pytest.mark.parametrize("columns", [1, 20, 80])
def test_marginals_show_every_column(columns):
    data = np.random.default_rng(0).normal(size=(500, columns))
    figure = plots.marginals(data, data + 1)
    if columns > 64:
        assert [x.images[0].get_array().shape[1] for x in figure.axes] == [columns] * 2
    else:
        assert len(figure.axes) == columns


def test_samples_beyond_an_axis_are_counted_and_not_drawn():
    data = np.random.default_rng(0).normal(size=(1000, 1))
    samples = np.concatenate([data, np.full((1000, 1), 50.0)])
    (axes,) = plots.marginals(data, samples).axes
    assert {"50% outside"} <= {text.get_text() for text in axes.texts}
    data_bars, flow_bars = (patch.get_data() for patch in axes.patches)
    # Half of the samples lie where the data do: half of the area is theirs.
    np.testing.assert_allclose(flow_bars.values, data_bars.values / 2)
    assert axes.get_xlim()[1] < 5


def test_learning_curves_stand_beside_levels():
    rows = [{"step": s, "loss": -s, "validation/log_likelihood": s} for s in range(9)]
    levels = {"gaussian/log_likelihood": 4.0, "validation/log_likelihood": 8.0}
    _, axes = plots.learning_curves(rows, levels=levels).axes
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["validation/log_likelihood", "gaussian"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [4, 4])
    # Bits stand for the loss, beside those that are no more than a curve's.
    rows = [{"step": 1, "train/loss": 2.0, "train/bits_per_dim": 2.0}]
    levels = {"bz2/bits_per_dim": 1.4, "uniform/bits_per_dim": 8.0}
    (axes,) = plots.learning_curves(rows, levels=levels).axes
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["train/bits_per_dim", "bz2"]
