"""Schedules of a margin's strength."""

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import Annealing, Warmup


def test_warmup_is_linear_and_then_full():
    steps = np.array([0, 25, 100, 1000])
    np.testing.assert_allclose(Warmup(100)(steps), [0.0, 0.25, 1.0, 1.0])


def test_annealing_equals_the_released_training_of_sphereface():
    """base 1000, gamma 0.12, power 1, lambda_min 5, in its prototxt."""
    steps = np.array([0, 100, 1658, 1659, 28_000])
    lambdas = np.maximum(5.0, 1000.0 / (1.0 + 0.12 * steps))
    assert lambdas[2] > lambdas[3] == 5.0
    np.testing.assert_allclose(Annealing()(steps), 1 / (1 + lambdas), rtol=1e-6)


@pytest.mark.parametrize("schedule", [Warmup(10), Annealing(power=35.0, minimum=0.0)])
def test_strength_grows_within_zero_and_one(schedule):
    strength = np.asarray(schedule(np.arange(0, 10**9, 10**6)))
    assert (strength >= 0).all() and (strength <= 1).all()
    assert (np.diff(strength) >= 0).all() and strength[-1] == 1.0


@pytest.mark.parametrize(
    "make", [lambda: Warmup(0), lambda: Annealing(base=-1), lambda: Annealing(gamma=-1)]
)
def test_an_invalid_schedule_raises_an_error(make):
    with pytest.raises(UserError, match="expected a number"):
        make()
