"""The figures of geometry are drawn from values that obey the papers' formulae."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nfml_jax import plots
from nfml_jax.cli import geometry
from nfml_jax.heads import ArcFace, CosFace, NormFace, Softmax, SphereFace

ANGLES = np.radians(np.linspace(1, 179, 40))
FIRST, SECOND = np.meshgrid(ANGLES, ANGLES)

# Where class 1 wins although the margin counts against it.
BOUNDARIES = {
    NormFace(): FIRST < SECOND,
    SphereFace(4): 4 * FIRST < SECOND,
    CosFace(0.35): np.cos(FIRST) - 0.35 > np.cos(SECOND),
    ArcFace(0.5): FIRST + 0.5 < SECOND,
    Softmax(): np.cos(FIRST) > 0.6 * np.cos(SECOND),
}


@pytest.mark.parametrize("margin", BOUNDARIES, ids=lambda m: type(m).__name__)
def test_boundaries_are_those_of_the_papers(margin):
    first, second = geometry.gaps(margin, np.cos(FIRST), np.cos(SECOND))
    clear = np.abs(first) > 1e-5
    np.testing.assert_array_equal((first > 0)[clear], BOUNDARIES[margin][clear])
    if not isinstance(margin, Softmax):
        np.testing.assert_allclose(second, first.T, atol=1e-5)
    # No example is trained to both classes.
    assert not ((first > 1e-5) & (second > 1e-5)).any()


def test_a_negative_is_easy_semi_hard_or_hard_by_its_distance(monkeypatch):
    seen = {}
    monkeypatch.setattr(plots, "pair_regions", lambda *a: seen.update(l=a[0], r=a[1]))
    geometry.pair_regions()
    size = len(seen["r"]["hard"])
    distance = np.linalg.norm(plots.grid_points(geometry.AROUND, size), axis=1)
    distance = distance.reshape(size, size)
    ends = np.array([1, 1 + geometry.MARGINS_SHOWN[1]])
    grade = np.digitize(distance, ends, right=True)
    for i, name in enumerate(("hard", "semi-hard", "easy")):
        np.testing.assert_array_equal(seen["r"][name], grade == i, err_msg=name)
    positive, negative = seen["l"].values()
    np.testing.assert_allclose(positive, distance**2, atol=1e-5)
    left = np.maximum(geometry.MARGINS_SHOWN[0] - distance, 0)
    np.testing.assert_allclose(negative, left**2, atol=1e-5)


@pytest.mark.parametrize("name", geometry.FIGURES)
def test_every_figure_is_written(name, tmp_path, monkeypatch):
    # How they look is the business of tests/plots.
    monkeypatch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)
    monkeypatch.setattr(geometry, "BALLS", ("euclidean", "covariance"))
    assert geometry.main([name, "-o", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").exists()


def test_mistakes_get_a_sentence(tmp_path, monkeypatch, capsys):
    assert geometry.main(["metric_ball"]) == 2
    assert "did you mean 'metric_balls'" in capsys.readouterr().err
    monkeypatch.setitem(geometry.FIGURES, "blank", lambda: Figure((1, 1)))
    monkeypatch.setattr(plots, "to_rgb", lambda figure: np.zeros((9, 9, 3), np.uint8))
    assert geometry.main(["blank", "-o", str(tmp_path / "no" / "a.png")]) == 2
    assert "give another --output" in capsys.readouterr().err
