"""Experiment trackers beside TensorBoard: one class for each, one line in `TRACKERS`.

A tracker receives what `RunWriter` writes: scalars and figures by step. It is chosen by
`nfml train --track=NAME`, which sets the environment variable `NFML_TRACK`, so that the
processes of a sweep use it too. Where a tracker writes is its own setting:
`TRACKIO_DIR`, `WANDB_MODE=offline` and `WANDB_DIR`, `MLFLOW_TRACKING_URI`.
"""

import hashlib
import importlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten, look_up

VARIABLE = "NFML_TRACK"


class Tracker(Protocol):
    """The contract of trackers.

    `run_dir` gives the run its name and identity: a resumed run goes on in the same
    record. `config` is that of `config.json`.
    """

    def __init__(self, package: Any, run_dir: Path, config: Mapping[str, Any]): ...

    def scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def image(self, step: int, name: str, rgb: Any) -> None: ...

    def close(self) -> None: ...


class _Logged:
    """A tracker of a package whose runs have `log` and `finish`."""

    _package: Any
    _run: Any

    def scalars(self, step, values):
        self._run.log(dict(values), step=step)

    def image(self, step, name, rgb):
        self._run.log({name: self._package.Image(rgb)}, step=step)

    def close(self):
        self._run.finish()


class Trackio(_Logged):
    """A run of trackio: a local database, shown by `trackio show`."""

    def __init__(self, package, run_dir, config):
        self._package = package
        name = f"{run_dir.name}-{identity(run_dir)}"
        self._run = package.init(
            project=config["name"], name=name, config=flatten(config), resume="allow"
        )


class Wandb(_Logged):
    """A run of Weights & Biases; `WANDB_MODE=offline` keeps it on this machine."""

    def __init__(self, package, run_dir, config):
        self._package = package
        self._run = package.init(
            project=config["name"],
            name=run_dir.name,
            id=identity(run_dir),
            config=dict(config),
            resume="allow",
            dir=os.environ.get("WANDB_DIR", str(run_dir)),
        )


class Mlflow:
    """A run of MLflow, at `MLFLOW_TRACKING_URI` or in the current folder."""

    def __init__(self, package, run_dir, config):
        self._client = package.MlflowClient()
        name, tag = config["name"], identity(run_dir)
        there = self._client.get_experiment_by_name(name)
        experiment = (
            there.experiment_id if there else self._client.create_experiment(name)
        )
        earlier = self._client.search_runs([experiment], f"tags.nfml_jax = '{tag}'")
        if earlier:
            self._id = earlier[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        tags = {"nfml_jax": tag, "mlflow.runName": run_dir.name}
        self._id = self._client.create_run(experiment, tags=tags).info.run_id
        for field, value in flatten(config).items():
            self._client.log_param(self._id, field, str(value)[:500])

    def scalars(self, step, values):
        for name, value in values.items():
            # MLflow has no "@" and "=" in names.
            plain = re.sub(r"[^\w\-. :/]", "_", name)
            self._client.log_metric(self._id, plain, value, step=step)

    def image(self, step, name, rgb):
        self._client.log_image(self._id, rgb, f"{name}.png")

    def close(self):
        self._client.set_terminated(self._id)


TRACKERS: dict[str, type[Tracker]] = {
    "mlflow": Mlflow,
    "trackio": Trackio,
    "wandb": Wandb,
}


def identity(run_dir: Path) -> str:
    """Return a short name of a run directory that no other one has."""
    return hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:8]


def find_tracker(name: str) -> Any:
    """Return the package of a tracker; UserError if it is unknown or not installed."""
    look_up(TRACKERS, name, "tracker")
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(
            f"--track={name} needs the package {name}, which is not installed; run "
            f"`pip install {name}`."
        ) from None


def open_trackers(run_dir: Path, config: Mapping[str, Any]) -> list[Tracker]:
    """Return the trackers that `NFML_TRACK` names, separated by commas, for a run."""
    names = filter(None, os.environ.get(VARIABLE, "").split(","))
    return [TRACKERS[name](find_tracker(name), run_dir, config) for name in names]
