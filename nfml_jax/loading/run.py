"""The model of a run directory, and the data that it was trained on."""

from pathlib import Path
from typing import Any

from nfml_jax.data import ImageData
from nfml_jax.data import load as load_data
from nfml_jax.errors import UserError
from nfml_jax.loading.embedders import TrainedEmbedder
from nfml_jax.loading.pixels import TrainedPixelFlow
from nfml_jax.loading.pretrained import (
    build,
    is_pretrained,
    load_pretrained,
    read_pretrained,
)
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.runs.run_files import read_config, read_result
from nfml_jax.training.checkpoints import Checkpoints


def load(run_dir: Path | str, checkpoint: str = "reported") -> Any:
    """Return the trained model of a run directory, or of a saved model's folder.

    Of a run, the "last", the "best" or the "reported" checkpoint is loaded; the last of
    these is the one that `result.json` describes (the latest one while there is no
    result). The run names its loader, one of `nfml_jax.loading.LOADERS`. Runs of the
    margin experiment give a `TrainedClassifier`, those on pairs a `TrainedEmbedder`. A
    folder of `save_pretrained` has one model.

    Raises UserError if the directory holds neither, or no such checkpoint yet, or if
    its files are damaged.
    """
    run_dir = Path(run_dir).expanduser()
    if is_pretrained(run_dir):
        return load_pretrained(run_dir)
    config = config_of(run_dir)
    result = read_result(run_dir)
    if checkpoint == "reported":
        reported = (result or {}).get("reported")
        checkpoint = reported["checkpoint"] if reported else "last"
    if checkpoint not in ("last", "best"):
        raise UserError(
            f"checkpoint = {checkpoint!r}; choose 'reported', 'last' or 'best'."
        )
    try:
        variables, meta = _restored(run_dir / "checkpoints", checkpoint)
    except FileNotFoundError:
        raise UserError(
            f"{run_dir} has no {checkpoint} checkpoint; let the run reach its first."
        ) from None
    return build(config, variables, meta, result, run_dir)


def load_embedder(run_dir: Path | str, checkpoint: str = "reported") -> TrainedEmbedder:
    """Return the result of `load`; UserError for a run without an encoder of images."""
    model = load(run_dir, checkpoint)
    if not isinstance(model, TrainedEmbedder):
        raise UserError(
            f"{run_dir} holds a {type(model).__name__}, which embeds no images; give a "
            "run of an encoder of images, such as those of configs/lfw.py."
        )
    return model


def load_pixel_flow(
    run_dir: Path | str, checkpoint: str = "reported"
) -> TrainedPixelFlow:
    """Return the result of `load`; UserError for a run without a flow of images."""
    model = load(run_dir, checkpoint)
    if not isinstance(model, TrainedPixelFlow):
        raise UserError(
            f"{run_dir} holds a {type(model).__name__}, which has no density of images;"
            " give a run of a flow of images, such as those of configs/images.py."
        )
    return model


def config_of(run_dir: Path | str) -> dict:
    """Return the config of a run directory; UserError if it holds no run."""
    run_dir = Path(run_dir).expanduser()
    if is_pretrained(run_dir):
        return up_to_date(read_pretrained(run_dir)["config"])
    config = read_config(run_dir)
    if config is None:
        raise UserError(
            f"{run_dir} holds no run: there is no config.json; give the run directory "
            "that `nfml train` named at its end."
        )
    return up_to_date(config)


def data_of(run_dir: Path | str) -> ImageData:
    """Return the labeled images that a run was trained and evaluated on.

    Raises UserError if the data that its config finds have changed.
    """
    run_dir = Path(run_dir).expanduser()
    config, result = config_of(run_dir), read_result(run_dir)
    try:
        # A field that is None is not given: the default of the data set holds.
        given = {name: x for name, x in config["data"].items() if x is not None}
        data = load_data(**given)
    except (KeyError, TypeError) as problem:
        raise UserError(
            f"{run_dir}/config.json names no labeled images ({problem}); give a run "
            "of an encoder of images."
        ) from problem
    recorded, found = (result or {}).get("data", {}), data.summary()
    field = "fingerprint" if "fingerprint" in recorded else "digest"
    if recorded.get(field, found[field]) != found[field]:
        raise UserError(
            f"{run_dir} was evaluated on {recorded['name']} from "
            f"{recorded.get('source')}, but its config finds {data.name} from "
            f"{data.source} now; bring those data back, or train again."
        )
    return data


def _restored(folder: Path, which: str):
    if not folder.is_dir():
        raise FileNotFoundError
    with Checkpoints(folder) as checkpoints:
        variables, meta = checkpoints.restore_model()
    if which == "last":
        return variables, meta
    # The meta names the metric by which the best checkpoint was chosen.
    with Checkpoints(folder, best=meta["model"].get("best")) as checkpoints:
        return checkpoints.restore_model("best")
