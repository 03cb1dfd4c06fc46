"""A variational experiment: its configs run, its checks are right, its model loads."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nfml_jax
from configs.variational import FLOWS
from configs.variational import get_config as config_of
from experiments import make_experiment
from nfml_jax.bijectors import Affine, Elementwise
from nfml_jax.errors import UserError
from nfml_jax.flows import Flow
from nfml_jax.flows.bases import Normal
from nfml_jax.training.experiment import Batch
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import AXIS
from nfml_jax.variational import OBJECTIVES, Energy, approximation_of
from tests.slow import slow_but


def get_config(name="iaf", **changes):
    config = config_of(f"{name},smoke")
    config.update_from_flattened_dict(changes)
    return config.to_dict()


@pytest.mark.parametrize("name", FLOWS)
def test_every_config_makes_a_flow_that_draws_and_has_a_density(name):
    # One of them runs whole, below; flows are tested in tests/flows.
    experiment = make_experiment(get_config(name, **{"energy.name": "u4"}))
    keys = jax.random.split(jax.random.key(0), 8)

    def everything(key, keys):
        variables = experiment.init(key)
        collections = {k: v for k, v in variables.items() if k != "params"}
        loss = experiment.loss(variables["params"], collections, Batch(None, keys), 0)
        x, log_q = experiment.q.sample_and_log_prob(variables, keys, len(keys))
        return loss[0], x, log_q, experiment.q.log_prob(variables, x)

    shapes = jax.tree.map(jnp.shape, jax.eval_shape(everything, keys[0], keys))
    assert shapes == ((), (8, 2), (8,), (8,))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run long enough to learn the one ring of two bumps."""
    config = get_config(
        "iaf",
        **{"flow.layers": 2, "train.batch_size": 128, "annealing.steps": 80},
        **{"optimizer.learning_rate": 1e-2, "train.total": "300 steps"},
        **{"train.steps_per_dispatch": 100, "train.log_every": "100 steps"},
        **{"train.evaluate_every": "300 steps", "train.checkpoint_every": "300 steps"},
        **{"report.draws": 3000},
    )
    path = tmp_path_factory.mktemp("variational") / "run"
    return path, train_and_evaluate(make_experiment, config, path).result


def test_it_learns(trained):
    path, result = trained
    metrics = result["metrics"]
    assert all(np.isfinite(list(metrics.values())))
    assert metrics["test/forward_kl"] > 0
    assert metrics["test/kl"] < 1 and metrics["test/ess"] > 0.2
    assert metrics["test/elbo"] < result["data"]["log_z"]
    assert metrics["test/log_z_off"] == pytest.approx(0, abs=0.7)
    error = metrics["annealed/log_z_se"]
    assert metrics["annealed/log_z_off"] == pytest.approx(0, abs=5 * error)
    figures = {path.stem for path in (path / "figures").iterdir()}
    assert {"densities", "samples", "layers", "learning_curves"} <= figures


def test_load_gives_the_draws_and_densities_that_were_reported(trained):
    path, result = trained
    flow = nfml_jax.load(path)
    draws = flow.sample(result["seed"], 3000)
    experiment = make_experiment(result["config"])
    weights = experiment.energy.log_density(draws) - flow.log_prob(draws)
    elbo = result["metrics"]["test/elbo"]
    assert np.mean(weights) == pytest.approx(elbo, abs=1e-3)


def test_where_the_flow_is_the_target_nothing_is_missing(monkeypatch):
    from experiments import variational

    # The density of a normal flow, shifted by its log Z.
    log_z = 0.7
    normal = Energy(lambda x: (x**2).sum(-1) / 2 + np.log(2 * np.pi) - log_z, log_z, 0)
    monkeypatch.setitem(variational.ENERGIES, "normal", normal)
    changes = {"energy.name": "normal", "report.cells": 50, "report.draws": 200}
    changes |= {"flow.layers": 1}
    experiment = make_experiment(get_config("iaf", **changes))
    for pictures in ("_figures", "_layers"):
        monkeypatch.setattr(experiment, pictures, lambda *_: {})
    variables = jax.jit(experiment.init)(jax.random.key(0))
    apply = lambda function, *given: jax.device_get(jax.jit(function)(*given))  # noqa: E731
    metrics = experiment.report(variables, apply).metrics
    for name in ("test/kl", "test/log_z_off", "test/forward_kl"):
        assert metrics[name] == pytest.approx(0, abs=1e-5)
    assert metrics["test/ess"] == pytest.approx(1, abs=1e-5)


# One flow with every objective, and every flow with one.
PLANAR, FIRST = "planar", next(iter(OBJECTIVES))


@pytest.mark.parametrize(
    "name, objective",
    [
        pytest.param(
            *pair,
            marks=[] if pair[0] == PLANAR or pair[1] == FIRST else [pytest.mark.slow],
        )
        for pair in itertools.product(FLOWS, OBJECTIVES)
    ],
)
def test_every_flow_has_a_training_step_for_every_objective(name, objective):
    # Traced, not compiled: what no device could run is refused by then.
    config = get_config(name, **{"objective.name": objective})
    setup = Setup(make_experiment, config, jax.devices()[:1])
    state = jax.eval_shape(setup.state)
    after, metrics = jax.eval_shape(setup.dispatch(), state, 3, None, None)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert metrics["loss"].shape == metrics["beta"].shape == (3,)


@pytest.mark.parametrize("name", slow_but(OBJECTIVES, ["reverse_kl"]))
def test_every_objective_anneals(name):
    config = get_config("planar", **{"objective.name": name, "annealing.steps": 10})
    experiment = make_experiment(config)
    params = jax.jit(experiment.init)(jax.random.key(0))["params"]
    keys = jax.random.split(jax.random.key(1), 16)

    @jax.jit
    @partial(jax.vmap, in_axes=(None, None), axis_name=AXIS, axis_size=1)
    @partial(jax.value_and_grad, has_aux=True)
    def loss(params, step):
        return experiment.loss(params, {}, Batch(None, keys), step)

    for step, beta in ((0, 0.01), (5, 0.505), (10, 1), (99, 1)):
        (value, (_, metrics)), gradient = loss(params, step)
        assert metrics["beta"] == pytest.approx(beta)
        finite = jax.tree.map(lambda x: np.isfinite(x).all(), (value, gradient))
        assert all(jax.tree.leaves(finite))


# Its running mean has laws of its own in tests/flows.
@pytest.mark.slow
def test_the_normalizer_of_a_resampled_base_is_learned():
    changes = {"flow.layers": 1, "flow.hidden": (4,), "flow.base": "resampled"}
    config = get_config("iaf")
    config["flow"] |= {name.split(".")[1]: value for name, value in changes.items()}
    experiment = make_experiment(config)
    variables = jax.jit(experiment.init)(jax.random.key(0))
    out = variables["params"]["base"]["net"]["out"]
    kernel = 2 * jax.random.normal(jax.random.key(1), out["kernel"].shape)
    out.update(kernel=kernel, bias=jnp.full((1,), -1.0))
    params = variables.pop("params")

    @jax.jit
    @partial(jax.vmap, in_axes=0, axis_name=AXIS)
    def learned(keys):
        def step(collections, key):
            batch = Batch(None, jax.random.split(key, 8))
            loss, (collections, _) = experiment.loss(params, collections, batch, 0)
            return collections, (loss, collections["acceptance"]["base"]["rate"])

        return jax.lax.scan(step, variables, keys)[1]

    losses, rates = learned(jax.random.split(jax.random.key(2), (1, 150)))
    base = experiment.flow.base
    z = jax.random.normal(jax.random.key(3), (100_000, 2))
    given = {"params": params["base"], "acceptance": variables["acceptance"]["base"]}
    accepted = jax.nn.sigmoid(base.apply(given).logit(z)).mean()
    assert abs(accepted - 0.5) > 0.1
    np.testing.assert_allclose(rates[0, -20:], accepted, atol=0.02)
    # The first step moves it by a twentieth of the way.
    np.testing.assert_allclose(rates[0, 0] - 0.5, (accepted - 0.5) / 20, atol=2e-3)
    assert np.isfinite(losses).all()


def test_draws_keyed_by_rows_do_not_depend_on_one_another():
    flow = Flow(Elementwise(Affine()), Normal(2), event_dim=2)
    q = approximation_of(flow)
    variables = flow.init(jax.random.key(0), np.zeros((1, 2)))
    keys = jax.random.split(jax.random.key(1), 6)
    draw = jax.jit(lambda keys: q.sample_and_log_prob(variables, keys, len(keys)))
    (x, log_q), (part, part_log_q) = draw(keys), draw(keys[2:4])
    np.testing.assert_allclose(part, x[2:4], rtol=1e-6)
    np.testing.assert_allclose(part_log_q, log_q[2:4], rtol=1e-6)
    np.testing.assert_allclose(log_q, q.log_prob(variables, x), rtol=1e-5)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"energy.name": "u5"}, "energy 'u5' is not known; known are: u1"),
        ({"objective.name": "reverse"}, "objective 'reverse' is not known"),
        ({"objective.name": "alpha_divergence", "objective.alpha": 1.0}, "reverse_kl"),
        ({"flow.fast": "log_prob"}, "set flow.fast = 'sample'"),
        (
            {"annealing.start": 0.0},
            r"annealing.start=0.0; expected a number in",
        ),
        (
            {"annealing.steps": -1},
            "annealing.steps=-1; expected an integer",
        ),
        ({"train.total": "2 epochs"}, "train.total = '2 epochs' counts epochs"),
    ],
)
def test_mistakes_get_a_sentence(changes, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        train_and_evaluate(make_experiment, get_config(**changes), tmp_path / "run")


def test_the_energy_says_how_many_coordinates_there_are():
    config = get_config()
    config["flow"]["event_dim"] = 3
    with pytest.raises(UserError, match="event_dim = 3 cannot be set"):
        make_experiment(config)
