"""Checkpoints of a run, by orbax: the last ones and the best, each with a checksum.

A checkpoint that was torn by a crash or damaged on disk is set aside with a warning,
and the one before it is used.
"""

import logging
import warnings
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from nfml_jax.training.step import TrainState

PyTree = Any

KEEP_LATEST = 2


class Checkpoints:
    """The checkpoints under `directory`; a context manager that awaits pending saves.

    `best` is the name of the metric whose largest value is kept beside the latest
    checkpoints, or None.
    """

    def __init__(self, directory: Path, *, best: str | None = None):
        logging.getLogger("absl").setLevel(logging.ERROR)
        policies = [checkpoint_managers.LatestN(KEEP_LATEST)]
        if best is not None:
            policies.append(
                checkpoint_managers.BestN(
                    get_metric_fn=lambda metrics: metrics[best], n=1
                )
            )
        self.directory = Path(directory).resolve()
        self._best = best
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies)
            ),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def save(
        self, step: int, state: TrainState, meta: dict, metrics: dict | None = None
    ) -> None:
        """Write `state` and the JSON-able `meta` in the background.

        `metrics` make the checkpoint a candidate for the best one.
        """
        model, optimizer = _parts(state)
        ranked = metrics if metrics and self._best in metrics else None
        self._manager.save(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardSave(model),
                optimizer=ocp.args.StandardSave(optimizer),
                meta=ocp.args.JsonSave(
                    {
                        **meta,
                        "step": step,
                        "validation": ranked,
                        "checksums": {
                            "model": _checksum(model),
                            "optimizer": _checksum(optimizer),
                        },
                    }
                ),
            ),
            metrics=ranked,
        )

    def restore(self, like: TrainState) -> tuple[TrainState, dict] | None:
        """The newest whole state, shaped and placed as `like`, and its meta.

        None if there is no checkpoint. A damaged one is moved to `damaged/` beside the
        checkpoints, with a warning.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._restore_state(step, like)
            except Exception as problem:
                self._set_aside(step, problem)
        return None

    def restore_model(self, which: str = "last") -> tuple[PyTree, dict]:
        """Model variables and meta of the "last" or the "best" checkpoint.

        The parameters are the averaged ones if an average was kept. A damaged "last"
        checkpoint is passed over with a warning; nothing is moved. FileNotFoundError
        if there is none to be had.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if which == "best":
            steps = [s for s in [self.best_step()] if s is not None]
        for step in steps:
            try:
                meta = self._meta(step)
                model = self._manager.restore(
                    step, args=ocp.args.Composite(model=ocp.args.StandardRestore())
                )["model"]
                _verify(model, meta, "model")
            except Exception as problem:
                warnings.warn(_damaged(step, problem), stacklevel=2)
            else:
                return _variables(model), meta
        raise FileNotFoundError(f"no {which} checkpoint in {self.directory}")

    def best_step(self) -> int | None:
        """The step of the checkpoint with the largest `best` metric, if any."""
        ranked = {}
        for step in self._manager.all_steps():
            try:
                validation = self._meta(step)["validation"]
            except Exception:
                continue
            if validation and self._best in validation:
                ranked[step] = validation[self._best]
        # Of equals the earliest, as the preservation policy has it.
        return max(sorted(ranked), key=ranked.get) if ranked else None

    def wait(self) -> None:
        """Return once pending saves are on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self.wait()
        self._manager.close()

    def _meta(self, step):
        return self._manager.restore(
            step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
        )["meta"]

    def _restore_state(self, step, like):
        meta = self._meta(step)
        model, optimizer = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            _parts(like),
        )
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardRestore(model),
                optimizer=ocp.args.StandardRestore(optimizer),
            ),
        )
        for part in ("model", "optimizer"):
            _verify(restored[part], meta, part)
        return TrainState(**restored["model"], **restored["optimizer"]), meta

    def _set_aside(self, step, problem):
        warnings.warn(
            _damaged(step, problem) + " The one before it is used.", stacklevel=3
        )
        aside = self.directory.parent / "damaged"
        aside.mkdir(exist_ok=True)
        target = aside / str(step)
        count = 1
        while target.exists():
            count += 1
            target = aside / f"{step}.{count}"
        (self.directory / str(step)).rename(target)
        self._manager.reload()


def _parts(state: TrainState):
    """What evaluation needs, and what only training needs."""
    model = {
        "params": state.params,
        "collections": state.collections,
        "average": state.average,
    }
    return model, {"step": state.step, "optimizer": state.optimizer}


def _variables(model):
    params = model["params"] if model.get("average") is None else model["average"]
    return {"params": params, **(model.get("collections") or {})}


def _checksum(tree: PyTree) -> int:
    """CRC-32 of all leaves' bytes, in order of their paths."""
    total = 0
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for _, leaf in sorted(leaves, key=lambda item: jax.tree_util.keystr(item[0])):
        data = np.ascontiguousarray(jax.device_get(leaf))
        total = zlib.crc32(data.view(np.uint8).reshape(-1).data, total)
    return total


def _verify(tree, meta, part):
    if _checksum(tree) != meta["checksums"][part]:
        raise ValueError(f"the checksum of its {part} doesn't match")


def _damaged(step, problem):
    reason = str(problem).strip().splitlines() or [type(problem).__name__]
    return f"Checkpoint {step} is damaged and passed over: {reason[0][:200]}."
