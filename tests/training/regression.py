"""The smallest experiment that has everything: linear regression with a statistic."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.training.experiment import Experiment, Report
from nfml_jax.training.settings import OptimizerSettings, RunSettings, TrainSettings


def config(**changes):
    settings = RunSettings(
        name="regression",
        experiment="regression",
        platform="cpu",
        optimizer=OptimizerSettings(learning_rate=0.05, warmup="3 steps"),
        train=TrainSettings(
            batch_size=8,
            total="5 epochs",
            log_every="4 steps",
            evaluate_every="1 epoch",
            checkpoint_every="1 epoch",
            steps_per_dispatch=3,
        ),
    ).to_config()
    for name, value in changes.items():
        section = settings
        *path, last = name.split("__")
        for part in path:
            section = section[part]
        assert last in section, name
        section[last] = value
    return settings


class Regression(Experiment):
    """y = x·w with random noise on x; a running mean of x, and a constant permutation.

    In its validation number `signal_at` it sends its process the signal `how`; from
    step `nan_from` on, its loss is NaN.
    """

    best = "validation/fit"

    def __init__(self, config, *, signal_at=0, how=signal.SIGTERM, nan_from=None):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(50, 3)).astype(np.float32)
        y = (x @ np.array([1.0, -2.0, 0.5], np.float32)).astype(np.float32)
        self.config = config
        self.train_arrays = {"x": x, "y": y}
        self.validations = 0
        self.signal_at, self.how, self.nan_from = signal_at, how, nan_from

    def describe(self):
        return {"data": "50 made-up points", "loss": "squared error"}

    def warnings(self):
        return []

    def data(self):
        return {"name": "made_up", "train": 50}

    def model(self):
        return {"inputs": 3}

    def init(self, key):
        w = 0.1 * jax.random.normal(key, (3,))
        return {
            "params": {"head": {"w": w}},
            "statistics": {"mean": jnp.zeros(3)},
            "constants": {"order": jnp.array([2, 0, 1])},
        }

    def loss(self, params, collections, batch, step):
        noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(batch.keys)
        x = batch.data["x"] + 0.1 * noise
        error = _predict({"params": params, **collections}, x) - batch.data["y"]
        if self.nan_from is not None:
            error = error * jnp.where(step >= self.nan_from, jnp.nan, 1.0)
        mean = 0.9 * collections["statistics"]["mean"] + 0.1 * x.mean(0)
        collections = {**collections, "statistics": {"mean": mean}}
        return (error**2).mean(), (collections, {"x": x.mean()})

    def validate(self, variables, apply):
        self.validations += 1
        if self.validations == self.signal_at:
            os.kill(os.getpid(), self.how)
        return Report(
            {"validation/fit": -self._error(variables, apply)},
            histograms={"w": variables["params"]["head"]["w"]},
        )

    def report(self, variables, apply):
        return Report(
            {"test/error": self._error(variables, apply)},
            histograms={"x": self.train_arrays["x"].ravel()},
        )

    def _error(self, variables, apply):
        x, y = self.train_arrays["x"], self.train_arrays["y"]
        predicted = apply(_predict, variables, x)
        return float(((predicted - y) ** 2).mean())


def _predict(variables, x):
    return x[:, variables["constants"]["order"]] @ variables["params"]["head"]["w"]
