"""Orbax checkpoints of a run: the latest ones and the best one, each with a checksum.

A checkpoint that a crash truncated or that is damaged on disk is skipped with a
warning, and the one before it is used. Other errors (another model, missing read
permission, too little memory) are never treated as damage.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from nfml_jax.distributed.processes import is_first, raise_in_all
from nfml_jax.errors import UserError
from nfml_jax.runs.file_fields import META, problem_of
from nfml_jax.runs.run_directory import differences
from nfml_jax.training.integrity import (
    DAMAGE,
    checksum,
    leaf_types,
    newest_intact,
    verify,
)
from nfml_jax.training.orbax_options import (
    RaisedAlone,
    keeping,
    not_listed,
    reading,
    without_absl_warnings,
)
from nfml_jax.training.step import TrainState, variables_of

PyTree = Any


class Checkpoints:
    """The checkpoints in `directory`; a context manager that awaits pending saves.

    Set `write` for the run that holds the directory's lock: the remains of killed saves
    are then removed. Without it, nothing on disk is changed. `best` is the name of the
    metric whose maximum decides which checkpoint is retained beside the latest ones, or
    None.
    """

    def __init__(
        self, directory: Path, *, best: str | None = None, write: bool = False
    ):
        self.directory = Path(directory).resolve()
        self.best = best
        self._ranks: dict[int, float | None] = {}
        self._errors = RaisedAlone()
        options = keeping(self._best_of) if write else reading()
        if self.directory.exists() and not self.directory.is_dir():
            raise UserError(
                f"{self.directory} is a file, where a run has the folder of its "
                "checkpoints; move it away, or give another run directory."
            )
        with without_absl_warnings():
            self._manager = ocp.CheckpointManager(self.directory, options=options)
        self._not_listed = not_listed(self.directory)

    def __enter__(self):
        self._errors.__enter__()
        return self

    def __exit__(self, *problem):
        with contextlib.ExitStack() as stack:
            stack.push(
                lambda *own: self._errors.__exit__(*(own if own[0] else problem))
            )
            stack.callback(self._manager.close)
            self.wait()

    def save(
        self, step: int, state: TrainState, meta: dict, metrics: dict | None = None
    ) -> None:
        """Write `state` and the JSON-able `meta` in the background.

        `metrics` make the checkpoint a candidate for the best one.
        """
        model, optimizer = state.parts()
        rank = self._ranks[step] = (metrics or {}).get(self.best)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardSave(model),
                optimizer=ocp.args.StandardSave(optimizer),
                meta=ocp.args.JsonSave(
                    {
                        **meta,
                        "step": step,
                        "rank": rank,
                        "leaves": leaf_types(state.parts()),
                        "checksums": {
                            "model": checksum(model),
                            "optimizer": checksum(optimizer),
                        },
                    }
                ),
            ),
        )

    def restore(
        self,
        like: TrainState,
        check: Callable[[dict], None] = lambda meta: None,
        until: int | None = None,
    ) -> tuple[TrainState, dict] | None:
        """Return the newest intact state, shaped and placed as `like`, and its meta.

        `check` is called with the meta before the state is read, and may refuse it.
        With `until`, checkpoints of later steps are not looked at. None if there is no
        checkpoint. Damaged ones are moved to `damaged/` beside the checkpoints, with a
        warning, once an older intact one was found. UserError if none is intact, or if
        the checkpoint is of another model than `like`.
        """
        steps = [s for s in self.all_steps() if until is None or s <= until]
        found, damaged = newest_intact(
            steps,
            lambda step: self._restore_state(step, like, check),
            self.directory,
        )
        for step, reason in damaged.items():
            warnings.warn(
                f"Checkpoint {step} is damaged ({reason}); it is set aside as "
                f"{self._set_aside(step)}, and the one before it is used.",
                stacklevel=2,
            )
        return found

    def restore_model(self, which: str = "last") -> tuple[PyTree, dict]:
        """Return the variables and the meta of the "last" or the "best" checkpoint.

        The variables are the averaged ones if an average was stored. A damaged "last"
        checkpoint is skipped with a warning; nothing is moved. Raises FileNotFoundError
        if there is no such checkpoint, and UserError if none is intact.
        """
        steps = self.all_steps()
        if which == "best":
            steps = [s for s in [self.best_step()] if s is not None]
        found, damaged = newest_intact(steps, self._restore_model, self.directory)
        for step, reason in damaged.items():
            warnings.warn(
                f"Checkpoint {step} is damaged ({reason}); the one before it is used.",
                stacklevel=2,
            )
        if found is None:
            raise FileNotFoundError(f"no {which} checkpoint in {self.directory}")
        return found

    def all_steps(self) -> list[int]:
        """Return the steps that have a checkpoint, newest first."""
        return sorted({*self._manager.all_steps(), *self._not_listed}, reverse=True)

    def best_step(self) -> int | None:
        """Return the step of the checkpoint with the largest `best` metric, if any."""
        return self._best_of(self.all_steps())

    def wait(self) -> None:
        """Return once pending saves are on disk."""
        self._manager.wait_until_finished()

    def _best_of(self, steps: Iterable[int]) -> int | None:
        """Return the step with the largest `best` metric; the earliest among equals."""
        for step in {*steps} - {*self._ranks}:
            self._ranks[step] = None
            with contextlib.suppress(*DAMAGE):
                self._ranks[step] = self._meta(step)["rank"]
        ranks = {step: self._ranks[step] for step in sorted(steps)}
        ranked = {step: rank for step, rank in ranks.items() if rank is not None}
        return max(ranked, key=ranked.__getitem__, default=None)

    def _meta(self, step):
        if step in self._not_listed:
            raise ValueError(self._not_listed[step])
        meta = self._manager.restore(
            step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
        )["meta"]
        wrong = problem_of(meta, META)
        if wrong:
            raise ValueError(f"in its meta, {wrong}")
        return meta

    def _restore_state(self, step, like, check):
        meta = self._meta(step)
        check(meta)
        leaves = leaf_types(like.parts())
        if meta["leaves"] != leaves:
            raise UserError(
                f"checkpoint {step} in {self.directory} is of another model than this "
                "code makes of the same config; these leaves differ: "
                f"{differences(meta['leaves'], leaves, most=3)}. Give another "
                "--workdir, or go back to the code that began this run."
            )
        model, optimizer = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            like.parts(),
        )
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardRestore(model),
                optimizer=ocp.args.StandardRestore(optimizer),
            ),
        )
        for part in ("model", "optimizer"):
            verify(restored[part], meta, part)
        return TrainState(**restored["model"], **restored["optimizer"]), meta

    def _restore_model(self, step):
        meta = self._meta(step)
        model = self._manager.restore(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardRestore(
                    # The model may have been saved on devices that this process lacks.
                    fallback_sharding=SingleDeviceSharding(jax.local_devices()[0])
                )
            ),
        )["model"]
        verify(model, meta, "model")
        return variables_of(model), meta

    def _set_aside(self, step) -> Path:
        aside = self.directory.parent / "damaged"
        aside.mkdir(exist_ok=True)
        target = aside / str(step)
        count = 1
        while target.exists():
            count += 1
            target = aside / f"{step}.{count}"
        with raise_in_all():
            if is_first():
                (self.directory / str(step)).rename(target)
        self._not_listed.pop(step, None)
        self._manager.reload()
        return target
