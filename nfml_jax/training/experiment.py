"""The contract between the training loop and an experiment.

An experiment puts together data, a model, an objective and an evaluation. It knows no
devices, files or flags: it gives pure functions and arrays.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from nfml_jax.data.samplers import Sampler

PyTree = Any

Apply = Callable[..., Any]
"""Run `fn(variables, *rows)` over many rows, in batches on all devices.

The result's rows come back as numpy arrays.
"""


class Batch(NamedTuple):
    """One device's share of a batch.

    `data` is a pytree of arrays `[rows, ...]` with the structure of
    `Experiment.train_arrays`, or None where that is None. `keys` holds one random key
    for each row.
    """

    data: PyTree
    keys: jax.Array


@dataclass
class Report:
    """The evaluation of a model.

    `metrics` are floats under slash-separated names ("test/accuracy"); `figures` are
    matplotlib figures; `animations` are sequences of frames uint8 `[H, W, 3]`;
    `histograms` are 1-D arrays; `embeddings` are rows for TensorBoard's projector:
    `(embeddings [N, D], labels [N], images [N, H, W, C])`.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    animations: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    histograms: Mapping[str, np.ndarray] = field(default_factory=dict)
    embeddings: Mapping[str, tuple] = field(default_factory=dict)


def under(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with "section/" before each name."""
    return {f"{section}/{name}": value for name, value in values.items()}


class Experiment(ABC):
    """The base class of every experiment; members with a value are optional.

    A subclass is made from a config, as `experiments/__init__.py` shows.
    """

    best: str | None = None
    """The validation metric by which a checkpoint is chosen; None without one."""

    remedy: str | None = None
    """A sentence on what to set if a run diverges, beside the learning rate."""

    train_arrays: PyTree | None = None
    """Training data `[examples, ...]`; None where the loss draws its own."""

    sampler: Callable[[int], Sampler] | None = None
    """The order of an epoch's examples, as a function of the batch size.

    None visits every example once. See `nfml_jax.data.samplers.make_sampler`.
    """

    checked: bool = True
    """False where JAX cannot follow the model's loops over devices.

    See `nfml_jax.training.sharding.per_device`.
    """

    whole_batch: bool = False
    """True where the loss compares the rows of a batch with each other.

    Such a loss over the parts of a batch is another objective, so
    `train.accumulate` > 1 is refused.
    """

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Return the header's rows: the data, the model and the objective in words."""

    def warnings(self) -> list[str]:
        """Return the sentences that a person should read before training starts."""
        return []

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """Return the entry "data" of `result.json`: name, source, digest and counts."""

    @abstractmethod
    def model(self) -> dict[str, Any]:
        """Return what `nfml_jax.load` needs beside the config to build the model.

        "loader" is a name of `nfml_jax.loading.LOADERS`, "best" repeats `best`, and the
        loader reads the rest.
        """

    @abstractmethod
    def init(self, key: jax.Array) -> PyTree:
        """Return the model's Flax variables."""

    @abstractmethod
    def loss(
        self, params: PyTree, collections: PyTree, batch: Batch, step: jax.Array
    ) -> tuple[jax.Array, tuple[PyTree, dict[str, jax.Array]]]:
        """Return the mean loss of one device's rows.

        Returns:
          `(loss, (collections, metrics))`: a scalar, the mutable collections after the
          step, and scalars to log.
        """

    def validate(self, variables: PyTree, apply: Apply) -> Report:
        """Evaluate on held-out training data, cheaply enough to do often.

        The loop reads metrics, histograms and figures, which go to TensorBoard.
        """
        return Report()

    @abstractmethod
    def report(self, variables: PyTree, apply: Apply) -> Report:
        """Evaluate in full, once, at the end of the run."""

    def with_config(self, config: dict) -> "Experiment | None":
        """Return this experiment under a config that differs in traced numbers alone.

        The data is shared, and the numbers may be traced: several runs then train as
        one program. None: this kind of experiment trains one run at a time.
        """
        return None
