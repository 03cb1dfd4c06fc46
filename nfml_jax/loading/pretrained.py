"""Trained models as folders to share: weights, config and a card, and no code.

A folder holds `model.safetensors` (all variables, by their paths), `config.json` (what
the loader needs, and the run's result) and `README.md` (see `model_card`). Loading one
runs nothing that it names: the loader is one of `nfml_jax.loading.LOADERS`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from nfml_jax.errors import UserError
from nfml_jax.loading.loaders import find_loader
from nfml_jax.loading.model_card import model_card
from nfml_jax.ops.extras import import_extra
from nfml_jax.runs.file_fields import SAVED, SAVED_FORMAT
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.runs.run_directory import replace_json, replace_text
from nfml_jax.runs.run_files import read_checked
from nfml_jax.training.integrity import checksum
from nfml_jax.version import __version__

WEIGHTS, CONFIG_FILE, CARD = "model.safetensors", "config.json", "README.md"

# Exceptions of building a model when its config, or its variables, have values of
# another kind than the model's options.
UNFIT = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


# Entries of a tuple that a model's representation shows.
SHOWN = 5


class Origin(NamedTuple):
    """The arguments of the loader that made a trained model."""

    config: Mapping[str, Any]
    variables: Any
    meta: Mapping[str, Any]
    result: Mapping[str, Any] | None


@dataclass(frozen=True, repr=False)
class Shareable:
    """A trained model that can be saved as a folder."""

    origin: Origin | None = field(default=None, kw_only=True, repr=False, compare=False)

    def __repr__(self) -> str:
        """Return the class with the fields that fit a line, without arrays."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.repr}
        words = (f"{k}={_short(v)}" for k, v in values.items() if _is_short(v))
        return f"{type(self).__name__}({', '.join(words)})"

    def save_pretrained(
        self, folder: Path | str, *, license: str | None = None
    ) -> Path:
        """Write the model into a folder, from which `nfml_jax.load` reads it.

        Every output of the loaded model is bit for bit that of this one. Of paths of
        this machine in the config, only the last name is written.

        Args:
          folder: A new or empty folder, or one that a model was saved in before.
          license: The license of the weights, by its SPDX or Hugging Face name.

        Returns:
          The folder.

        Raises:
          UserError: if the folder holds something else, or cannot be written.
        """
        if self.origin is None:
            raise UserError(
                "this model was made by hand, so its config is not known; save one "
                "that nfml_jax.load returned."
            )
        folder = Path(folder).expanduser()
        if not (folder / WEIGHTS).exists() and (folder / CONFIG_FILE).exists():
            raise UserError(
                f"{folder} holds a run or another model; give a new folder, as what is "
                "shared is not a run directory."
            )
        content = _content(self, self.origin)
        tensors = {
            name: np.asarray(leaf)
            for name, leaf in flatten_dict(self.origin.variables, sep="/").items()
        }
        save = import_extra("safetensors.numpy", "save_pretrained").save
        card = model_card(content, folder.resolve().name, license)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / WEIGHTS).write_bytes(save(tensors))
            replace_text(folder / CARD, card)
            replace_json(folder / CONFIG_FILE, content)
        except OSError as problem:
            raise UserError(
                f"cannot write in {folder} ({problem.strerror}); give a folder that "
                "you may write to."
            ) from None
        return folder


def _is_short(value) -> bool:
    """Return whether a value is a number, a text, or a tuple of them that has some."""
    if isinstance(value, tuple):
        return bool(value) and all(map(_is_short, value))
    return isinstance(value, bool | int | float | str) and value != ""


def _short(value) -> str:
    """Return a value as code, of a long tuple only its beginning."""
    if isinstance(value, tuple) and len(value) > SHOWN:
        first = ", ".join(map(repr, value[:SHOWN]))
        return f"({first}, … {len(value)} in all)"
    return repr(value)


def build(config, variables, meta, result, where: Path | str) -> Any:
    """Return the model of a loader's arguments; UserError, with `where`, if unfit."""
    name = meta.get("model", {}).get("loader")
    if name is None:
        raise UserError(
            f"{where} does not say how to load its model; let its experiment's "
            "model() give a 'loader'."
        )
    loader = find_loader(name)
    variables = jax.tree.map(jnp.asarray, variables)
    try:
        model = loader(config, variables, meta, result)
    except UserError as problem:
        raise UserError(f"{where} cannot be loaded: {problem}") from problem
    except UNFIT as problem:
        raise UserError(
            f"{where} cannot be loaded: its config and its weights don't describe one "
            f"{name} ({type(problem).__name__}: {problem}); restore them, or load it "
            "by the code that trained it."
        ) from problem
    if isinstance(model, Shareable):
        return replace(model, origin=Origin(config, variables, meta, result))
    return model


def is_pretrained(folder: Path) -> bool:
    """Return whether a folder is one that `save_pretrained` wrote."""
    return (folder / WEIGHTS).exists()


def read_pretrained(folder: Path) -> dict[str, Any]:
    """Return the config.json of a saved model; UserError if it is damaged."""
    path = folder / CONFIG_FILE
    content = read_checked(path, SAVED, "saved model")
    if content is None:
        raise UserError(f"{folder} has no {CONFIG_FILE}; save the model again.")
    if content["digest"] != _digest(content):
        raise UserError(
            f"{path} was changed after the model was saved; restore it, or save the "
            "model again."
        )
    return content


def load_pretrained(folder: Path | str) -> Any:
    """Return the trained model of a folder that `save_pretrained` wrote.

    Raises UserError if a file is missing or damaged.
    """
    folder = Path(folder).expanduser()
    content = read_pretrained(folder)
    load = import_extra("safetensors.numpy", "loading a saved model").load
    path = folder / WEIGHTS
    try:
        tensors = load(path.read_bytes())
        variables = unflatten_dict(tensors, sep="/")
        intact = checksum(variables) == content["checksum"]
    except Exception as problem:  # safetensors has several, without a common base
        words = str(problem).splitlines() or [type(problem).__name__]
        raise UserError(
            f"{path} cannot be read ({words[0]}); fetch it again."
        ) from problem
    if not intact:
        raise UserError(
            f"{path} is damaged or of another model: its checksum is not that of "
            f"{CONFIG_FILE}; fetch both again."
        )
    meta = {
        "step": content["step"],
        "model": content["model"] | {"loader": content["loader"]},
    }
    config = up_to_date(content["config"])
    model = build(config, variables, meta, content["result"], folder)
    if any(item.name == "threshold" for item in fields(model)):
        return replace(model, threshold=content["threshold"])
    return model


# The sections that determine the model.
MODEL_SECTIONS = ("loader", "step", "model", "config", "checksum")


def _content(model: Shareable, origin: Origin) -> dict[str, Any]:
    """Return the content of config.json."""
    facts = dict(origin.meta["model"])
    result = {k: v for k, v in (origin.result or {}).items() if k != "config"}
    content = {
        "format": SAVED_FORMAT,
        "library": f"nfml_jax {__version__}",
        "loader": facts.pop("loader"),
        "step": int(origin.meta["step"]),
        "model": facts,
        "threshold": getattr(model, "threshold", None),
        "config": origin.config,
        "result": result or None,
        "checksum": checksum(origin.variables),
    }
    content = _without_paths(json.loads(json.dumps(content)))
    return content | {"digest": _digest(content)}


def _digest(content: Mapping[str, Any]) -> str:
    """Return the hash of what determines the model, for any order of fields."""
    sections = {name: content[name] for name in MODEL_SECTIONS}
    text = json.dumps(sections, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _without_paths(value: Any) -> Any:
    """Return a JSON value with absolute paths shortened to their last names."""
    if isinstance(value, dict):
        return {name: _without_paths(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_paths(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value
