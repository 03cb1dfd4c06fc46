"""What the training loop asks of an experiment.

An experiment puts together data, a model, an objective and an evaluation. It knows
nothing of devices, files or flags: it gives pure functions and arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import numpy as np

PyTree = Any

# Runs `fn(variables, *rows)` over many rows in batches on all devices, and gives the
# result's rows as numpy arrays.
Apply = Callable[..., Any]


@dataclass
class Report:
    """What an experiment has to say of a model.

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
    """`values` by name, with "section/" before each name."""
    return {f"{section}/{name}": value for name, value in values.items()}


class Experiment(Protocol):
    """The contract. `best` names the validation metric to choose by, or is None.

    An experiment may have two further fields: `checked`, False if JAX cannot follow its
    model's loops, see `nfml_jax.training.sharding.per_device`; and `sampler`, which
    orders the examples of an epoch, see `nfml_jax.data.samplers.make_sampler`. With a
    method `with_config(config)` several runs of it train as one program: it gives the
    experiment of another config on the same data. The two differ in numbers alone (see
    `nfml_jax.training.groups`), and those may be traced.
    """

    best: str | None
    # Leading axis [examples, ...]; None for what draws for itself what it trains on.
    train_arrays: PyTree | None

    def describe(self) -> dict[str, str]:
        """Rows of the run's header: the data, the model, the objective in words."""

    def warnings(self) -> list[str]:
        """Sentences the person should read before the run starts."""

    def data(self) -> dict[str, Any]:
        """`result.json`'s entry: name, source, digest and counts."""

    def model(self) -> dict[str, Any]:
        """What `nfml_jax.load` needs beside the config to build the model again.

        "loader" is a name of `nfml_jax.loading.LOADERS`, "best" repeats `best`; the
        rest is that function's.
        """

    def init(self, key: jax.Array) -> PyTree:
        """The model's Flax variables."""

    def loss(self, params, collections, batch_and_keys, step):
        """The mean loss of one device's rows: `(scalar, (collections, metrics))`.

        `batch_and_keys` is `(batch, keys)`: a pytree `[rows, ...]` shaped as
        `train_arrays` (None if that is), and one random key for each row. Metrics are
        scalars.
        """

    def validate(self, variables: PyTree, apply: Apply) -> Report:
        """Metrics and histograms of held-out training data, cheap enough to do often.

        Figures and embeddings are for the end: only `report`'s are kept.
        """

    def report(self, variables: PyTree, apply: Apply) -> Report:
        """The full evaluation, once, at the end."""
