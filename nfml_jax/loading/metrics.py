"""Metrics that were trained by a loss as networks are, and their restored form."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.loading.pretrained import Shareable
from nfml_jax.loading.settings import LossSettings
from nfml_jax.losses import LossOutput, make_loss
from nfml_jax.mahalanobis.mahalanobis import Mahalanobis


class MetricModel(nn.Module):
    """A metric and any of `nfml_jax.losses`; parameters under "metric" and "loss"."""

    metric: Mahalanobis
    loss: nn.Module

    def __call__(
        self, x: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of rows `[B, D]` with labels `[B]` in the metric."""
        return self.loss(self.metric(x), labels, step)

    def embed(self, x: jax.Array) -> jax.Array:
        """Return embeddings `[B, rank]` of rows `[B, D]`."""
        return self.metric(x)


def make_metric_model(
    rank: int | None,
    loss: LossSettings,
    dimensions: int,
    num_classes: int,
    *,
    axis_name: str | None = None,
) -> MetricModel:
    """Return a metric with a loss that trains it; `rank` None means all dimensions.

    `axis_name` is the device axis during training.
    """
    rank, options = rank or dimensions, loss.to_config()
    objective = make_loss(num_classes, rank, axis_name=axis_name, **options)
    return MetricModel(Mahalanobis(rank), objective)


@dataclass(frozen=True, repr=False)
class TrainedMetric(Shareable):
    """The metric of a run, on rows `[N, D]` in their original units.

    A row is standardized as (original - `shift`) / `scale`, and L is `matrix` `[rank,
    D]` of the standardized row.
    """

    matrix: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    classes: tuple[str, ...]
    step: int

    def embed(self, x) -> np.ndarray:
        """Return embeddings `[N, rank]`, float64, with the distances of rows."""
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.scale):
            raise UserError(
                f"rows have shape {list(x.shape)}; this metric takes "
                f"[N, {len(self.scale)}]."
            )
        return ((x - self.shift) / self.scale) @ self.matrix.T

    def distance(self, a, b) -> np.ndarray:
        """Return distances `[N]` between rows `a` and `b`, pair by pair."""
        return np.linalg.norm(self.embed(a) - self.embed(b), axis=1)


def load_metric(config, variables, meta, result) -> TrainedMetric:
    """Load a run of the metric experiment."""
    model = meta["model"]
    return TrainedMetric(
        matrix=np.asarray(variables["params"]["metric"]["L"], np.float64),
        shift=np.array(model["shift"]),
        scale=np.array(model["scale"]),
        classes=tuple(model["classes"]),
        step=meta["step"],
    )
