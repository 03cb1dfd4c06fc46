"""Angles keep their accuracy, and Table 3's statistics equal their definitions."""

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation import class_angles
from tests.evaluation.rows import degrees, example


def pair_at(theta: float, dimensions: int, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors at `theta` radians in a random plane, of different lengths."""
    basis = np.random.default_rng(0).normal(size=(dimensions, 2))
    u, v = np.linalg.qr(basis)[0].T
    return (3 * u).astype(dtype), (
        0.2 * (np.cos(theta) * u + np.sin(theta) * v)
    ).astype(dtype)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 2e-3), (np.float64, 1e-10)])
@pytest.mark.parametrize("dimensions", [2, 512])
@pytest.mark.parametrize("theta", [1e-4, 1e-2, 1.0, np.pi / 2, 3.0, np.pi - 1e-4])
def test_angle_is_accurate_from_nearly_0_to_nearly_180_degrees(
    theta, dimensions, dtype, rtol
):
    a, b = pair_at(theta, dimensions, dtype)
    radians = np.deg2rad(class_angles.angle(a, b))
    assert radians == pytest.approx(theta, rel=rtol)
    assert np.pi - radians == pytest.approx(np.pi - theta, rel=rtol)


def test_angle_at_the_ends():
    x = np.float32([0.3, -1, 2])
    assert class_angles.angle(x, 7 * x) == pytest.approx(0, abs=1e-5)
    assert class_angles.angle(x, -x) == 180
    assert class_angles.angle(x, np.zeros(3, np.float32)) == pytest.approx(90)


@pytest.mark.parametrize("chunk", [3, 1024])
def test_statistics_are_those_of_table_3(chunk):
    x, labels, weights = example()
    classes = np.unique(labels)
    units = np.float64(x) / np.linalg.norm(x, axis=1, keepdims=True)
    centers = np.stack([units[labels == c].mean(0) for c in classes])
    own = np.searchsorted(classes, labels)
    far = 999 * np.eye(6)
    expected = {
        "w_ec": np.mean(np.diagonal(degrees(weights[classes], centers))),
        "w_inter": np.mean(np.min(degrees(weights, weights) + far, axis=1)),
        "intra": np.mean(degrees(x, centers)[np.arange(len(x)), own]),
        "inter": np.mean(np.min(degrees(centers, centers) + far[:5, :5], axis=1)),
    }
    result = class_angles.angle_statistics(x, labels, weights, chunk)
    assert result == pytest.approx(expected, rel=1e-5)
    assert all(type(value) is float for value in result.values())
    del expected["w_ec"], expected["w_inter"]
    assert class_angles.angle_statistics(x, labels) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("chunk", [17, 1024])
def test_target_and_nearest_other_angles_are_entries_of_the_angle_matrix(chunk):
    x, labels, weights = example()
    every = degrees(x, weights)
    rows = np.arange(len(x))
    np.testing.assert_allclose(
        class_angles.target_angles(x, weights, labels), every[rows, labels], rtol=1e-4
    )
    every[rows, labels] = np.inf
    np.testing.assert_allclose(
        class_angles.nearest_other_angles(x, weights, labels, chunk),
        every.min(axis=1),
        rtol=1e-4,
    )


def test_the_nearest_of_equal_weights_is_the_other_one():
    weights = np.float32([[1, 0], [1, 0], [0, 1]])
    result = class_angles.angle_statistics(weights, np.arange(3), weights)
    assert result["w_inter"] == pytest.approx(30)  # (0 + 0 + 90) / 3
    assert result["w_ec"] == result["intra"] == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: class_angles.angle_statistics(np.eye(2), [0, 0]), "two classes"),
        (lambda: class_angles.target_angles(np.eye(3), np.eye(3), [0, 1, 3]), "0 to 3"),
        (
            lambda: class_angles.target_angles(np.eye(3), np.eye(2), [0, 1, 0]),
            "dimensions",
        ),
        (lambda: class_angles.angle_statistics([[np.nan, 0]], [0]), "not finite"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
