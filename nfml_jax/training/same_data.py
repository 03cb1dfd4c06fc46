"""A check that a run continues with the data that it began with."""

from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.training.experiment import Experiment

IDENTITY = ("name", "source", "digest", "fingerprint")


def identity(experiment: Experiment) -> dict[str, str]:
    """Return the identity of the training data that a checkpoint stores."""
    data = experiment.data()
    return {field: data[field] for field in IDENTITY if field in data}


def check_same_data(experiment: Experiment, meta: dict, run_dir: Path) -> None:
    """Raise UserError if the checkpoint of `meta` was trained on other data.

    Checkpoints of earlier versions say less of their data. They are compared by what
    they say, which are the names of classes of images.
    """
    there, here = meta.get("data"), identity(experiment)
    if there is None:
        there = {"names": meta.get("model", {}).get("class_names")}
        here |= {"names": _class_names(experiment)}
    field = next((f for f in ("fingerprint", "digest", "names") if there.get(f)), None)
    if field and (here.get(field) or there[field]) != there[field]:
        source = f" from {there['source']}" if "source" in there else ""
        was = f" ({there['name']}{source})" if "name" in there else ""
        raise UserError(
            f"{run_dir} was trained on other data{was}: its config finds "
            f"{here.get('name')} from {here.get('source')} now, with other examples, "
            "labels or names of classes; bring those data back, or give another "
            "--workdir to train on these."
        )


def _class_names(experiment: Experiment) -> list[str] | None:
    names = experiment.model().get("class_names")
    return names and list(names)
