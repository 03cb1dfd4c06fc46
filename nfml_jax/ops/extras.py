"""Packages that only some rooms need, and the extras that install them."""

import importlib
from types import ModuleType

from nfml_jax.errors import UserError

# Top-level module -> the extra of this package that brings it.
EXTRAS = {
    **dict.fromkeys(
        ("array_record", "grain", "mlxtend", "PIL", "polars", "tensorflow_datasets"),
        "data",
    ),
    **dict.fromkeys(("diffrax", "distrax", "sklearn"), "flows"),
    "matplotlib": "plots",
    **dict.fromkeys(
        (
            "absl",
            "filelock",
            "flatbuffers",
            "ml_collections",
            "optax",
            "orbax",
            "rich",
            "safetensors",
            "shtab",
            "tensorboard",
            "tensorboardX",
        ),
        "training",
    ),
    **dict.fromkeys(("ray", "submitit"), "cluster"),
    "huggingface_hub": "hub",
    **dict.fromkeys(("jax2onnx", "onnxruntime"), "onnx"),
    "optuna": "search",
}


# Extras that "training" includes: a command needs several of them.
INCLUDED = ("data", "flows", "plots")


class MissingExtra(UserError, ImportError):
    """A package is missing that an extra of this package installs.

    `name` is that of the package, and `whole` is whether the sentence names the extra
    with all that a command needs.
    """

    def __init__(self, sentence: str, name: str = "", whole: bool = False):
        super().__init__(sentence)
        self.name, self.whole = name, whole


def explain_missing(
    problem: ImportError, what: str, *, whole: bool = False
) -> MissingExtra | None:
    """Return the sentence about a failed import; None if no extra has the package.

    Args:
      problem: the error of the import.
      what: the part that needs the package, which begins the sentence.
      whole: True if `what` needs the whole extra "training".

    >>> print(explain_missing(ModuleNotFoundError(name="optax.tree"), "nfml train"))
    nfml train needs the package optax, which is not installed; run \
`pip install 'nfml_jax[training]'`.
    """
    module = (problem.name or "").split(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return None
    if isinstance(problem, MissingExtra) and (problem.whole or not whole):
        return problem
    if whole and extra in INCLUDED:
        extra = "training"
    return MissingExtra(
        f"{what} needs the package {module}, which is not installed; run "
        f"`pip install 'nfml_jax[{extra}]'`.",
        module,
        whole,
    )


def import_extra(module: str, what: str) -> ModuleType:
    """Import a module of an extra; MissingExtra with the remedy if it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise explain_missing(problem, what) or problem from problem
