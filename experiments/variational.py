"""Variational inference: flows fitted to densities that lack their normalizer.

Rezende and Mohamed (ICML 2015, section 6.1), on energies whose normalizer is known.
"""

import copy
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from experiments.density import DRAWS
from experiments.plane import layers_in_motion, on_grid
from experiments.settings import VariationalSettings
from nfml_jax import plots
from nfml_jax.bijectors import Inverse
from nfml_jax.bijectors.continuous import has_continuous
from nfml_jax.errors import UserError
from nfml_jax.flows import Flow, make_flow
from nfml_jax.flows.functions import draw
from nfml_jax.flows.resampled import RATE
from nfml_jax.loading.settings import FlowSettings
from nfml_jax.ops.names import look_up
from nfml_jax.training.experiment import Batch, Experiment, Report
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.sharding import AXIS
from nfml_jax.variational import (
    ENERGIES,
    SQUARE,
    DivergenceSettings,
    annealed_importance_sampling,
    approximation_of,
    draws_on_grid,
    estimates,
    kl_on_grid,
    make_objective,
    random_walk,
)

INITIAL_ROWS = 1024

# Annealing, the independent check, starts from a normal density of this standard
# deviation, and makes random walks with these steps.
START, MOVE, TEMPERATURES = 3.0, 0.7, 300


class VariationalExperiment(Experiment):
    """A flow on one of `nfml_jax.variational.ENERGIES`; there are no data.

    The contract is `nfml_jax.training.experiment.Experiment`. A config's sections are
    those of `experiments.settings.VariationalSettings`. The fast direction of the flow
    is that of sampling.
    """

    best = "validation/elbo"
    train_arrays = None

    def __init__(self, config: dict):
        settings = VariationalSettings.of(config)
        self.energy = look_up(ENERGIES, settings.energy.name, "energy")
        self.flow = sampling_flow(settings.flow, self.energy.event_dim)
        self.checked = not has_continuous(self.flow)
        self.q = approximation_of(self.flow)
        self._configure(settings)

    def with_config(self, config: dict) -> "VariationalExperiment":
        """Return the same flow and energy, with other numbers, traced or not."""
        other = copy.copy(self)
        other._configure(VariationalSettings.of(config))
        return other

    def _configure(self, settings):
        self.settings = settings
        self.divergence = DivergenceSettings.of(settings.objective)
        self.whole_batch = self.divergence.whole_batch
        self.objective = make_objective(self.divergence, axis_name=AXIS)

    def describe(self) -> dict[str, str]:
        settings, annealing = self.settings, self.settings.annealing
        loss = f"{self.divergence.name}, nats"
        if annealing.steps:
            loss += f", β from {annealing.start:g} to 1 in {annealing.steps:,}"
        return {
            "energy": f"{settings.energy.name}, log Z {self.energy.log_z:.4f}",
            "flow": settings.flow.words(),
            "loss": loss,
        }

    def warnings(self) -> list[str]:
        return []

    def data(self) -> dict:
        """The counts: no rows to train on, and draws of the flow for evaluation."""
        return {
            "name": self.settings.energy.name,
            "source": "analytic",
            "train": 0,
            "test": self.settings.report.draws,
            "log_z": self.energy.log_z,
        }

    def model(self) -> dict:
        size = self.energy.event_dim
        return {
            "loader": "flow",
            "best": self.best,
            "event_dim": size,
            "shift": [0.0] * size,
            "scale": [1.0] * size,
        }

    def init(self, key):
        shape = (INITIAL_ROWS,)
        return self.flow.init(key, key, shape, method="sample_and_log_prob")

    def loss(self, params, collections, batch: Batch, step):
        start, steps = self.settings.annealing.start, self.settings.annealing.steps
        beta = jnp.minimum(1, start + (1 - start) * step / steps) if steps else 1.0
        variables, q = {"params": params, **collections}, self.q
        if RATE in collections:
            # The normalizer of a resampled base, estimated from the same draws by the
            # objective and by the update.
            key = jax.random.fold_in(batch.keys[0], DRAWS.index("base"))
            training = {"rngs": {"base": key}, "mutable": (RATE,)}
            q = approximation_of(self.flow, **training)
            _, changed = self.flow.apply(variables, method=_base, **training)
            collections = {**collections, **changed}
        loss = self.objective(
            q,
            lambda x: beta * self.energy.log_density(x),
            variables,
            batch.keys,
            len(batch.keys),
        )
        return loss, (collections, {"beta": jnp.asarray(beta, loss.dtype)})

    def validate(self, variables, apply) -> Report:
        # These draws differ from those of the report.
        size = self.settings.report
        rows = size.draws + np.arange(size.validation)
        _, weights = apply(self._log_weights, variables, rows.astype(np.uint32))
        return Report(_under("validation", estimates(weights), ("elbo", "ess")))

    def report(self, variables, apply) -> Report:
        size, log_z = self.settings.report, self.energy.log_z
        rows = np.arange(size.draws, dtype=np.uint32)
        samples, weights = apply(self._log_weights, variables, rows)
        metrics = _under("test", estimates(weights, log_z=log_z))
        grid = plots.grid_points(SQUARE, size.cells)
        width = np.ptp(SQUARE[0]) / size.cells
        log_p = self.energy.log_density(grid)
        log_q = apply(self.q.log_prob, variables, grid)
        metrics["test/forward_kl"] = kl_on_grid(log_p, log_q, width**2)
        annealed, accepted = apply(self._anneal, variables, rows[: size.chains])
        checked = ("log_z", "log_z_error", "ess")
        metrics |= _under("annealed", estimates(annealed), checked)
        metrics["annealed/acceptance"] = float(accepted.mean())
        for part in ("test", "annealed"):
            metrics[f"{part}/log_z_off"] = metrics[f"{part}/log_z"] - log_z

        shown = size.samples
        target = draws_on_grid(self.settings.seed, log_p, grid, width, shown)
        return Report(
            metrics,
            figures=self._figures(variables, apply, target, samples[:shown]),
            animations={"layers": self._layers(variables, target)},
            histograms={"test/log_weight": weights, "annealed/log_weight": annealed},
        )

    def _figures(self, variables, apply, target, samples):
        energy, flow = self.settings.energy.name, self.settings.flow.recipe
        limits, size = plots.limits_around(target), self.settings.report.cells // 2
        log_prob = partial(apply, self.q.log_prob, variables)
        row = {
            "target": on_grid(self.energy.log_density, limits, size)
            - self.energy.log_z,
            flow: on_grid(log_prob, limits, size),
        }
        return {
            "densities": plots.density_gallery(
                {energy: row}, {energy: limits}, rows_share=True, side=3.4
            ),
            "samples": plots.samples_2d({"target": target, flow: samples}),
        }

    def _layers(self, variables, target):
        return layers_in_motion(
            self.flow, variables, self.settings.seed, len(target), target
        )

    def _log_weights(self, variables, rows):
        """Return draws, and their log importance weights."""
        x, log_q = draw(self.flow, variables, self.settings.seed, rows)
        return x, self.energy.log_density(x) - log_q

    def _anneal(self, variables, rows):
        """Return log weights and the acceptance rate of chains from a normal density.

        The flow has no part in them: this check shares none of its faults.
        """
        key = purpose_key(root_key(self.settings.seed), "annealing")

        def one(row):
            start_key, walk_key = jax.random.split(jax.random.fold_in(key, row))
            annealed = annealed_importance_sampling(
                walk_key,
                START * jax.random.normal(start_key, (1, self.energy.event_dim)),
                lambda x: norm.logpdf(x, scale=START).sum(-1),
                self.energy.log_density,
                random_walk(MOVE),
                jnp.linspace(0, 1, TEMPERATURES + 1),
            )
            return annealed.log_weights[0], annealed.acceptance.mean()

        return jax.vmap(one)(rows)


def _base(flow: Flow):
    return flow.base(None)


def sampling_flow(settings: FlowSettings, event_dim: int) -> Flow:
    """Return the flow of a config's section, for events of the energy's size.

    Raises UserError for a flow that would be inverted for every draw.
    """
    if "event_dim" in settings.options:
        raise UserError(
            f"flow.event_dim = {settings.options['event_dim']} cannot be set: the flow "
            f"has the {event_dim} coordinates of its energy; leave it out."
        )
    flow = make_flow(event_dim=event_dim, **settings.to_config())
    if isinstance(flow.bijector, Inverse):
        raise UserError(
            f"flow.recipe = {settings.recipe!r} has fast log-densities only, and "
            "would be inverted for every draw, which variational inference takes at "
            "each step; set flow.fast = 'sample'."
        )
    return flow


def _under(part: str, found: dict, names=None) -> dict[str, float]:
    """Return `names` of the dict `found`, by default all, under `part`.

    Standard errors are called "…_se".
    """
    names = names or found
    return {f"{part}/{n.replace('_error', '_se')}": float(found[n]) for n in names}
