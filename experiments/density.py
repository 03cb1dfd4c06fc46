"""Densities of vectors by maximum likelihood: a flow, its likelihood, its samples."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.plane import layers_in_motion, on_grid
from nfml_jax import plots
from nfml_jax.bijectors.permutations import CONSTANTS
from nfml_jax.data.densities import DENSITIES
from nfml_jax.data.vectors import load_vectors
from nfml_jax.evaluation import density
from nfml_jax.flows import make_flow
from nfml_jax.flows.trained import draw
from nfml_jax.training.experiment import Report

# Rows that layers see which take their first parameters from data.
INITIAL_ROWS = 1024

# What layers and bases draw while they learn: see nets.conditioners, bijectors.residual
# and flows.resampled.
DRAWS = ("dropout", "log_det", "base")


class DensityExperiment:
    """A flow on vectors, trained on the mean negative log-likelihood in nats.

    The contract is `nfml_jax.training.experiment.Experiment`. `config` has "data"
    (arguments of `nfml_jax.data.vectors.load_vectors`), "flow" (arguments of
    `nfml_jax.flows.make_flow`) and "report" ("samples" to draw for the figures and
    two-sample tests).
    """

    def __init__(self, config: dict):
        self.config = config
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            self.vectors = load_vectors(**config["data"])
        self._doubts = [str(doubt.message) for doubt in doubts]
        self.flow = make_flow(event_dim=self.vectors.event_dim, **config["flow"])
        self.train_arrays = {"x": self.vectors.train}
        held_out = self.vectors.validation is not None
        self.best = "validation/log_likelihood" if held_out else None

    def describe(self) -> dict[str, str]:
        options = {k: v for k, v in self.config["flow"].items() if k != "recipe"}
        words = ", ".join(f"{name} {value}" for name, value in options.items())
        return {
            "data": self.vectors.describe(),
            "flow": f"{self.config['flow']['recipe']}: {words}",
            "loss": "mean negative log-likelihood, nats of the standardised data",
        }

    def warnings(self) -> list[str]:
        bound = self.config["flow"].get("bound")
        if bound is None:
            return self._doubts
        outside = float((np.abs(self.vectors.train) > bound).any(axis=1).mean())
        if outside <= 0.5:
            return self._doubts
        sentence = (
            f"{outside:.0%} of the training rows have a coordinate beyond the splines' "
            f"bound of {bound:g}, where they are the identity; a larger flow.bound "
            "would shape more of the data."
        )
        return [*self._doubts, sentence]

    def data(self) -> dict:
        return self.vectors.summary()

    def model(self) -> dict:
        return {
            "loader": "nfml_jax.flows.trained:load_flow",
            "best": self.best,
            "event_dim": self.vectors.event_dim,
            "shift": self.vectors.shift.tolist(),
            "scale": self.vectors.scale.tolist(),
        }

    def init(self, key):
        return self.flow.init(key, jnp.asarray(self.vectors.train[:INITIAL_ROWS]))

    def loss(self, params, collections, batch_and_keys, step):
        batch, keys = batch_and_keys
        rngs = {name: jax.random.fold_in(keys[0], i) for i, name in enumerate(DRAWS)}
        log_prob, changed = self.flow.apply(
            {"params": params, **collections},
            batch["x"],
            rngs=rngs,
            mutable=[name for name in collections if name != CONSTANTS],
        )
        log_likelihood = log_prob.mean()
        metrics = {"log_likelihood": log_likelihood}
        return -log_likelihood, ({**collections, **changed}, metrics)

    def validate(self, variables, apply) -> Report:
        if self.vectors.validation is None:
            return Report()
        log_prob = apply(self._log_prob, variables, self.vectors.validation)
        return Report({self.best: float(log_prob.mean(dtype=np.float64))})

    def report(self, variables, apply) -> Report:
        test, drawn = self.vectors.test, self.config["report"]["samples"]
        log_probs = apply(self._log_prob, variables, test)
        nll = density.negative_log_likelihood(log_probs)
        metrics = {"log_likelihood": -nll["nll"], "log_likelihood_se": nll["nll_error"]}
        truth = DENSITIES.get(self.vectors.name)
        if truth is not None:
            # A density of the original rows, as the true one is.
            ours = log_probs + self.vectors.log_det
            theirs = truth.log_prob(self.vectors.to_original(test))
            kl = density.kl_divergence(theirs, ours)
            metrics |= {"kl": kl["kl"], "kl_se": kl["kl_error"]}
        seeds = np.arange(drawn, dtype=np.uint32)
        samples, sample_log_probs = apply(self._samples, variables, seeds)
        two_sample = density.classifier_two_sample_test(test, samples)
        metrics |= {
            "classifier_accuracy": two_sample["accuracy"],
            "mmd2": density.maximum_mean_discrepancy(test, samples)["mmd2"],
            "worst_ks": density.marginal_ks(test, samples)["statistic"].max(),
        }
        return Report(
            {f"test/{name}": float(value) for name, value in metrics.items()},
            figures=self._figures(variables, apply, samples),
            animations=self._animations(variables),
            histograms={
                "test/log_prob": log_probs,
                "samples/log_prob": sample_log_probs,
            },
        )

    def _figures(self, variables, apply, samples):
        data = self.vectors.test
        figures = {"marginals": plots.marginals(data, samples, self.vectors.columns)}
        if self.vectors.event_dim == 2:
            limits = plots.limits_around(data)
            log_probs = on_grid(partial(apply, self._log_prob, variables), limits)
            figures |= {
                "samples": plots.samples_2d({"data": data, "flow": samples}),
                "joint": plots.joint(data, samples),
                "density": plots.density_map(log_probs, limits),
            }
        return figures

    def _animations(self, variables):
        if self.vectors.event_dim != 2:
            return {}
        seed, drawn = self.config["seed"], self.config["report"]["samples"]
        target = self.vectors.test
        return {"layers": layers_in_motion(self.flow, variables, seed, drawn, target)}

    def _log_prob(self, variables, x):
        return self.flow.apply(variables, x)

    def _samples(self, variables, rows):
        return draw(self.flow, variables, self.config["seed"], rows)
