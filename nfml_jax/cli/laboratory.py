"""The laboratory: the folders `configs` and `experiments`.

They lie at the top of a clone, and inside the library when that is installed from a
wheel. Copies in the current folder, as `nfml init` makes them, come first.
"""

import sys
from pathlib import Path

import nfml_jax
from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean

FOLDERS = ("configs", "experiments")
_LIBRARY = Path(nfml_jax.__file__).parent


def laboratory() -> Path:
    """Return the folder that holds `configs` and `experiments`."""
    for place in (_LIBRARY / "laboratory", _LIBRARY.parent):
        if all((place / name).is_dir() for name in FOLDERS):
            return place
    raise UserError(
        f"{_LIBRARY} comes without configs and experiments; install nfml_jax from its "
        "wheel, or work in a clone."
    )


def enter() -> None:
    """Make `configs` and `experiments` importable, those of the current folder first.

    They stand before installed packages, which may have the same names, and after the
    standard library, which a file in the current folder must not replace.
    """
    here = Path.cwd()
    places = [here] if any((here / name).is_dir() for name in FOLDERS) else []
    places += [place for place in (laboratory(),) if place not in places]
    new = [str(place) for place in places if str(place) not in sys.path]
    installed = [i for i, name in enumerate(sys.path) if name.endswith("-packages")]
    position = min(installed, default=len(sys.path))
    sys.path[position:position] = new


def find_file(text: str, kind: str, folder: str) -> str:
    """Return FILE[:ARGUMENT] of a --config or --sweep as a path that exists.

    A file is given by its path, relative to the current folder or to the laboratory, or
    by its name in `folder`: "arcface_mnist" is configs/arcface_mnist.py.

    Raises UserError if there is none.
    """
    name, *argument = text.split(":", 1)
    relative = Path(name) if name.endswith(".py") else Path(folder, f"{name}.py")
    places = (Path(), laboratory())
    for place in places:
        if (place / relative).is_file():
            return ":".join([str(place / relative), *argument])
    files = sorted(
        {
            str(path.relative_to(place))
            for place in places
            for path in place.glob(f"{folder}/*.py")
        }
    )
    names = [Path(path).stem for path in files]
    guess = did_you_mean(name, files if name.endswith(".py") else names)
    raise UserError(
        f"there is no {kind} file {name!r}{guess}; {kind}s are the .py files in "
        f"{folder}/, or their names: {', '.join(names)}."
    )
