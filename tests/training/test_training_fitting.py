"""`fit` makes the steps that a loop in Python makes."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nfml_jax.errors import UserError
from nfml_jax.training import fit, fitting


def loss(params, key):
    x = jax.random.normal(key, (4,))
    return jnp.mean((params["slope"] * x - 2.0 * x + params["shift"]) ** 2)


def test_it_makes_the_steps_of_a_loop():
    optimizer, key = optax.adamw(0.1, weight_decay=0.01), jax.random.key(0)
    start = {"slope": jnp.array(0.0), "shift": jnp.array(1.0)}
    params, state, expected = start, optimizer.init(start), []
    for one in jax.random.split(key, 20):
        value, grads = jax.value_and_grad(loss)(params, one)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        expected.append(value)
    found, losses = fit(loss, start, optimizer, 20, key)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    for name in start:
        np.testing.assert_allclose(found[name], params[name], rtol=1e-5, atol=1e-6)


def test_no_steps_are_refused():
    with pytest.raises(UserError, match="steps=0"):
        fit(loss, {}, optax.sgd(0.1), 0, jax.random.key(0))


def test_its_example_gives_what_it_says():
    assert not doctest.testmod(fitting).failed
