"""Densities of vectors by maximum likelihood: a flow, its likelihood, its samples."""

import copy
import dataclasses
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.density_baselines import Baselines
from experiments.plane import layers_in_motion, on_grid
from experiments.settings import DensitySettings
from nfml_jax import plots
from nfml_jax.bijectors.continuous import has_continuous
from nfml_jax.bijectors.permutations import CONSTANTS
from nfml_jax.data.vectors.arrays import VectorData
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.evaluation import likelihoods, two_samples
from nfml_jax.flows import make_flow
from nfml_jax.flows.bases import Uniform
from nfml_jax.flows.functions import draw
from nfml_jax.synthetic.plane import DENSITIES
from nfml_jax.training.experiment import Batch, Experiment, Report

# Rows seen by layers that initialize parameters from data.
INITIAL_ROWS = 1024

# Random streams of layers and bases in training: see nets.conditioners,
# bijectors.residual and flows.resampled.
DRAWS = ("dropout", "log_det", "base")

# The probability of the region whose coverage is reported.
COVERED = 0.9

# Least number of rows for a two-sample test.
LEAST_SAMPLE = 10


class DensityExperiment(Experiment):
    """A flow on vectors, trained on the mean negative log-likelihood in nats.

    `experiments.settings.DensitySettings` says what it reads of a config. Data with a
    context make the density conditional.
    """

    def __init__(self, config: dict):
        self.settings = DensitySettings.of(config)
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            self.vectors = self.load()
        self._doubts = [str(doubt.message) for doubt in doubts]
        self.context = self.vectors.context
        # Fitted once for all trials of a sweep.
        self.baselines = Baselines(self.vectors, self.given)
        self.flow = make_flow(
            event_dim=self.vectors.event_dim,
            context_dim=self.context.size if self.context else 0,
            **self.settings.flow.to_config(),
        )
        self._check_support()
        self.checked = not has_continuous(self.flow)
        self.train_arrays = self.vectors.train, *self.given("train")
        held_out = self.vectors.validation is not None
        self.best = "validation/log_likelihood" if held_out else None

    def with_config(self, config: dict) -> "DensityExperiment":
        """Return the same data and flow, with other numbers for training and report."""
        other = copy.copy(self)
        other.settings = DensitySettings.of(config)
        return other

    def load(self) -> VectorData:
        """Load the data; warnings on the way become the experiment's."""
        return load_vectors(**self.settings.data.to_config())

    def given(self, part: str) -> tuple[np.ndarray, ...]:
        """Return the flow's arguments after a part's rows: the context, if any."""
        if self.context is None:
            return ()
        return (self.context.encode(self.vectors.given[part]),)

    def _check_support(self):
        base, x = self.flow.base, self.vectors.train
        if not isinstance(base, Uniform):
            return
        # The recipe with a uniform base is confined to its box.
        low, high = base.low, base.high
        outside = float(((x < low) | (x > high)).any(axis=1).mean())
        if outside:
            raise UserError(
                f"{outside:.0%} of the training rows have a coordinate outside "
                f"[{low:.4g}, {high:.4g}], where the flow has no density; map the data "
                "into it and set data.standardize = False, or take another recipe than "
                f"{self.settings.flow.recipe}."
            )

    def describe(self) -> dict[str, str]:
        return {
            "data": self.vectors.describe(),
            "flow": self.settings.flow.words(),
            "loss": "mean negative log-likelihood, nats of the standardized data",
        }

    def warnings(self) -> list[str]:
        bound = self.settings.flow.options.get("bound")
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
            "loader": "flow",
            "best": self.best,
            "event_dim": self.vectors.event_dim,
            "columns": list(self.vectors.columns),
            "shift": self.vectors.shift.tolist(),
            "scale": self.vectors.scale.tolist(),
            "context": dataclasses.asdict(self.context) if self.context else None,
        }

    def init(self, key):
        rows = [jnp.asarray(array[:INITIAL_ROWS]) for array in self.train_arrays]
        return self.flow.init(key, *rows)

    def loss(self, params, collections, batch: Batch, step):
        key = batch.keys[0]
        rngs = {name: jax.random.fold_in(key, i) for i, name in enumerate(DRAWS)}
        log_prob, changed = self.flow.apply(
            {"params": params, **collections},
            *batch.data,
            rngs=rngs,
            mutable=[name for name in collections if name != CONSTANTS],
        )
        log_likelihood = log_prob.mean()
        metrics = {"log_likelihood": log_likelihood}
        return -log_likelihood, ({**collections, **changed}, metrics)

    def validate(self, variables, apply) -> Report:
        if self.vectors.validation is None:
            return Report()
        rows = self.vectors.validation, *self.given("validation")
        log_prob = apply(self.log_prob, variables, *rows)
        return Report({self.best: float(log_prob.mean(dtype=np.float64))})

    def report(self, variables, apply) -> Report:
        test, given = self.vectors.test, self.given("test")
        log_probs = apply(self.log_prob, variables, test, *given)
        nll = likelihoods.negative_log_likelihood(log_probs)
        metrics = {"log_likelihood": -nll["nll"], "log_likelihood_se": nll["nll_error"]}
        truth = DENSITIES.get(self.vectors.name)
        if truth is not None:
            # The figure shows a density of the original rows, as the true one is.
            ours = log_probs + self.vectors.log_det
            theirs = truth.log_prob(self.vectors.to_original(test))
            kl = likelihoods.kl_divergence(theirs, ours)
            metrics |= {"kl": kl["kl"], "kl_se": kl["kl_error"]}
        numbers = np.arange(self.settings.report.samples, dtype=np.uint32)
        given_samples = [array[numbers % len(array)] for array in given]
        samples, sample_log_probs = apply(
            self._samples, variables, numbers, *given_samples
        )
        covered = likelihoods.coverage(log_probs, sample_log_probs, [COVERED])
        metrics |= {f"coverage@{COVERED:.0%}": covered["coverage"][0]}
        # The samples of a conditional density are compared as pairs with their
        # contexts.
        data, drawn = (
            np.concatenate(x, 1) for x in ((test, *given), (samples, *given_samples))
        )
        if min(len(data), len(drawn)) >= LEAST_SAMPLE:
            two_sample = two_samples.classifier_two_sample_test(data, drawn)
            metrics |= {
                "classifier_accuracy": two_sample["accuracy"],
                "mmd2": two_samples.maximum_mean_discrepancy(data, drawn)["mmd2"],
                "worst_ks": two_samples.marginal_ks(test, samples)["statistic"].max(),
            }
        return Report(
            {f"test/{name}": float(value) for name, value in metrics.items()}
            | self.baselines.metrics(),
            figures=self._figures(variables, apply, samples),
            animations=self._animations(variables),
            histograms={
                "test/log_prob": log_probs,
                "samples/log_prob": sample_log_probs,
            },
        )

    @property
    def _in_plane(self) -> bool:
        """True if there is one density to draw."""
        return self.vectors.event_dim == 2 and self.context is None

    def _figures(self, variables, apply, samples):
        data = self.vectors.test
        figures = {"marginals": plots.marginals(data, samples, self.vectors.columns)}
        if self._in_plane:
            limits = plots.limits_around(data)
            log_probs = on_grid(partial(apply, self.log_prob, variables), limits)
            figures |= {
                "samples": plots.samples_2d({"data": data, "flow": samples}),
                "joint": plots.joint(data, samples),
                "density": plots.density_map(log_probs, limits),
            }
        return figures

    def _animations(self, variables):
        if not self._in_plane:
            return {}
        seed, drawn = self.settings.seed, self.settings.report.samples
        target = self.vectors.test
        return {"layers": layers_in_motion(self.flow, variables, seed, drawn, target)}

    def log_prob(self, variables, x, *given):
        """Return log p(x) of rows `[N, event_dim]`, given their context if any."""
        return self.flow.apply(variables, x, *given)

    def _samples(self, variables, numbers, *given):
        return draw(self.flow, variables, self.settings.seed, numbers, *given)
