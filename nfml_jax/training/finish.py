"""The end of a run: its figures, its last log entries, and the result."""

import json
from pathlib import Path
from typing import Any

from nfml_jax import plots
from nfml_jax.ops.names import flatten
from nfml_jax.runs import RESULTS_FILE
from nfml_jax.runs.projector import write_embedding
from nfml_jax.runs.provenance import revision, versions
from nfml_jax.runs.writers import METRICS_FILE, NoWriter, RunWriter, read_metrics
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.experiment import Report
from nfml_jax.training.header import devices_in_words
from nfml_jax.training.setup import Setup
from nfml_jax.training.step import TrainState

PyTree = Any


def choose(state: TrainState, saved: Checkpoints, which: str) -> tuple[PyTree, dict]:
    """Return the "last" or the "best" variables, and which of the two they are."""
    if which == "last":
        return state.variables(), {"checkpoint": "last", "step": int(state.step)}
    with Checkpoints(saved.directory, best=saved.best) as reader:
        variables, meta = reader.restore_model("best")
    return variables, {"checkpoint": "best", "step": meta["step"]}


def write_report(
    report: Report, run_dir: Path, writer: RunWriter | NoWriter, step: int, config: dict
) -> None:
    """Write the final evaluation to the log, to TensorBoard and to `figures/`."""
    curves = plots.learning_curves(
        read_metrics(run_dir / METRICS_FILE), levels=report.metrics
    )
    writer.scalars(step, report.metrics)
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in {"learning_curves": curves, **report.figures}.items():
        rgb = plots.to_rgb(figure)
        plots.save(rgb, folder / f"{name}.png")
        writer.image(step, name, rgb)
    for name, frames in report.animations.items():
        plots.save_animation(frames, folder / f"{name}.gif")
    for name, values in report.histograms.items():
        writer.histogram(step, name, values)
    for name, rows in report.embeddings.items():
        write_embedding(run_dir, step, name, *rows)
    in_a_sweep = (run_dir.parent / RESULTS_FILE).exists()
    writer.hparams(flatten(config), None if in_a_sweep else list(report.metrics))


def make_result(
    report: Report,
    setup: Setup,
    *,
    steps: int,
    reported: dict,
    spent: tuple[float, float],
    group: dict | None = None,
) -> dict:
    """Return the content of `result.json`, the only source of all tables.

    `reported` says which checkpoint was evaluated. `spent` is wall and CPU seconds; for
    a run in a `group` it is the run's share.
    """
    config, experiment, (wall, cpu) = setup.config, setup.experiment, spent
    result = {
        "name": config["name"],
        "config": json.loads(json.dumps(config)),  # as the file holds it
        "metrics": report.metrics,
        "data": experiment.data(),
        "model": experiment.model(),
        "parameters": setup.parameters,
        "reported": reported,
        "seed": config["seed"],
        "versions": versions(),
        "device": devices_in_words(setup),
        "revision": revision(),
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu, 3),
        "steps": steps,
    }
    return result if group is None else result | {"group": group}
