"""Flows on circles and spheres: closed maps, with log-determinants of areas."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Chain, Coupling, Elementwise, Reverse, ScalarTransform
from nfml_jax.bijectors.spheres import OnCircles, PhaseShift, Sphere
from nfml_jax.bijectors.transforms.rational_quadratic import RationalQuadratic
from nfml_jax.errors import UserError
from nfml_jax.flows.bases import UniformSphere
from nfml_jax.flows.flow import Flow
from nfml_jax.nets.conditioners import MLP
from nfml_jax.testing import start


@dataclass(frozen=True)
class Interval(ScalarTransform):
    """Maps of [-1, 1] that keep its ends: (x + t) / (1 + tx)."""

    domain: ClassVar = (-1.0, 1.0)
    codomain: ClassVar = (-1.0, 1.0)
    num_params: ClassVar = 1

    def forward_and_log_det(self, raw, x):
        t = jnp.tanh(raw[..., 0])
        return (x + t) / (1 + t * x), jnp.log1p(-(t**2)) - 2 * jnp.log1p(t * x)

    def inverse_and_log_det(self, raw, y):
        return self.forward_and_log_det(-raw, y)


@dataclass(frozen=True)
class Circle(Interval):
    """A family of maps of the circle: tan(y / 2) = eʳ tan(x / 2)."""

    domain: ClassVar = (-np.pi, np.pi)
    codomain: ClassVar = (-np.pi, np.pi)

    def forward_and_log_det(self, raw, x):
        r = raw[..., 0]
        sin, cos = jnp.exp(r / 2) * jnp.sin(x / 2), jnp.exp(-r / 2) * jnp.cos(x / 2)
        return 2 * jnp.arctan2(sin, cos), -jnp.log(sin**2 + cos**2)


def net():
    return OnCircles(MLP(hidden=(8,)))


def sphere(size, count=6, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, size))
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# The laws of bijectors hold for spheres, and log-determinants are their Jacobians'.
@pytest.mark.slow
def test_a_sphere_stays_one_with_a_density_that_integrates_to_one():
    size, count, area = 4, 10_000, 2 * np.pi**2
    layer = Sphere(conditioner=MLP(hidden=(8,)))
    flow = Flow(layer, UniformSphere(size), size)
    x = np.float32(sphere(size, count))

    @jax.jit
    def run(key, variables):
        return flow.apply(variables, x), *flow.apply(
            variables, key, (count,), method="sample_and_log_prob"
        )

    log_prob, samples, log_prob_of_samples = run(
        jax.random.key(0), start(flow, x[:2], spread=0.3)
    )
    np.testing.assert_allclose(np.linalg.norm(samples, axis=-1), 1, atol=1e-5)
    # Means by the density over the area are means over the samples.
    weight = area * np.exp(log_prob, dtype=float)
    assert weight.std() > 0.3
    for by_area, by_samples in (
        (np.ones(len(x)), np.ones(len(samples))),
        (log_prob, log_prob_of_samples),
        *zip(x.T, samples.T, strict=True),
    ):
        terms = weight * by_area
        error = np.hypot(terms.std(), by_samples.std()) / len(x) ** 0.5
        assert abs(terms.mean() - by_samples.mean()) < 5 * error


def test_poles_and_the_seam_have_finite_values_and_gradients():
    bijector = Sphere(Interval(), Circle(), MLP(hidden=(8,)))
    x = np.float32([*np.eye(4), *-np.eye(4), np.ones(4) / 2])

    @jax.jit
    def run(variables):
        y, log_det = bijector.apply(variables, x)
        back = bijector.apply(variables, y, method="inverse")

        def total(variables, x):
            y, log_det = bijector.apply(variables, x)
            return y.sum() + log_det.sum()

        return y, log_det, back, jax.grad(total, argnums=(0, 1))(variables, x)

    y, log_det, back, gradients = run(start(bijector, x, spread=1.0))
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(back, x, atol=2e-2)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves((gradients, log_det)))


def test_a_torus_flows_by_couplings_without_a_seam():
    spline = RationalQuadratic(bound=np.pi, tails="circular")
    layer = Chain([Elementwise(PhaseShift()), Coupling(spline, net()), Reverse()])
    # The same two points, given by angles on either side of the seam.
    x = np.asarray([[np.pi, 1.0], [-np.pi, 1.0]])

    @jax.jit
    def run(variables):
        y, log_det = layer.apply(variables, x)
        return y, log_det, layer.apply(variables, y, method="inverse")

    with jax.enable_x64(True):
        y, log_det, back = jax.device_get(run(start(layer, x, spread=1.0)))
    assert (np.abs(y) <= np.pi).all()
    for one, two in (y, log_det, np.cos(back - x)):
        np.testing.assert_allclose(np.cos(one - two), 1, atol=1e-12)
    np.testing.assert_allclose(np.cos(back - x), 1, atol=1e-12)


def test_a_sphere_of_no_dimension_is_refused():
    with pytest.raises(UserError, match="two coordinates or more; got 1"):
        Sphere(Interval(), Circle()).init(jax.random.key(0), np.ones((1, 1)))
