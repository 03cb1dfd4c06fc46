"""Replaying a step: the state and batch are those of the run, and a NaN has a place."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.runs.writers import read_metrics
from nfml_jax.terminal.terminal import silent
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.replay import replay
from tests.training.regression import Regression, config

SETTINGS = config(train__total="12 steps", train__log_every="1 step")


class Root(nn.Module):
    """The square root of a linear map, which is NaN below zero."""

    @nn.compact
    def __call__(self, x):
        return jnp.sqrt(nn.Dense(1, name="line")(x))


class Rooted(Regression):
    """A regression through `Root`: its bias falls until the root has no value."""

    net = Root()

    def init(self, key):
        variables = self.net.init(key, jnp.ones((1, 3)))
        start = {"kernel": jnp.zeros((3, 1)), "bias": jnp.full(1, 0.12)}
        return {**variables, "params": {"line": start}}

    def loss(self, params, collections, batch, step):
        y = self.net.apply({"params": params}, 0 * batch.data["x"])
        return y.mean(), (collections, {})

    def validate(self, variables, apply):
        return super(Regression, self).validate(variables, apply)

    best = None


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "run"
    outcome = train_and_evaluate(Rooted, SETTINGS, path, terminal=silent())
    assert outcome.status == "diverged"
    return path, outcome.step


def test_replay_names_the_first_module_that_is_not_finite(diverged, capsys):
    path, step = diverged
    found = replay(Rooted, SETTINGS, path, step)
    assert np.isnan(found.loss)
    where = "(Root.__call__) is NaN (shape [8, 1], 8 of 8 rows: 0, 1"
    assert where in found.findings[0]
    assert any("nan" in words and "jnp.sqrt" in words for words in found.findings)
    with np.load(found.batch) as batch:
        assert batch["data.x"].shape == (8, 3) and len(batch["keys"]) == 8
    assert "Root.__call__" in capsys.readouterr().out


def test_replay_of_a_good_step_has_the_loss_of_the_run(diverged):
    path, step = diverged
    found = replay(Rooted, SETTINGS, path, step - 1, terminal=silent())
    assert found.findings == []
    logged = {line["step"]: line for line in read_metrics(path / "metrics.jsonl")}
    assert found.loss == pytest.approx(logged[step]["train/loss"], rel=1e-6)


def test_replay_needs_a_run_and_one_of_its_steps(diverged, tmp_path):
    path, _ = diverged
    with pytest.raises(UserError, match="holds no run to replay"):
        replay(Rooted, SETTINGS, tmp_path, 1, terminal=silent())
    with pytest.raises(UserError, match="--replay=12 is no step of this run"):
        replay(Rooted, SETTINGS, path, 12, terminal=silent())
