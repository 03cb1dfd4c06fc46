"""Pages of the API: a page for each room, an entry for each public name of its face."""

import importlib
import inspect
import pkgutil
import re

from docstrings import fenced

import nfml_jax

# The order of rooms, which is that of the design; a room that is not here comes last.
ORDER = (
    *("heads", "losses", "mahalanobis", "bijectors", "flows", "variational", "nets"),
    *("evaluation", "data", "tables", "training", "runs", "sweeps", "distributed"),
    *("loading", "plots", "terminal", "testing", "ops"),
)
# Rooms whose inner rooms have their own pages; the faces of others name everything.
WITH_INNER_ROOMS = ("data", "nets")
# Public names of inner rooms, such as one imports to add to a registry.
MORE = {
    "bijectors": ["bijector.OnLastAxis"],
    "data": ["samplers.make_sampler"],
    "flows": [
        "recipes.option_names",
        "base.Base",
        *(
            f"bases.{name}"
            for name in ("Normal", "Uniform", "Logistic", "StudentT", "VonMises")
        ),
        *(f"bases.{name}" for name in ("VonMisesFisher", "UniformSphere")),
    ],
    "heads": ["margins.margin.number", "margins.margin.statistic"],
    "sweeps": ["executors.import_path", "executors.needs"],
}


def rooms() -> list[str]:
    """Return the rooms with public names, in order."""
    found = []
    for room in pkgutil.iter_modules(nfml_jax.__path__):
        if room.ispkg and room.name != "cli":
            found.append(room.name)
            if room.name in WITH_INNER_ROOMS:
                inner = importlib.import_module(f"nfml_jax.{room.name}").__path__
                inside = [
                    f"{room.name}.{r.name}"
                    for r in pkgutil.iter_modules(inner)
                    if r.ispkg
                ]
                found += inside
    public = [
        r for r in found if hasattr(importlib.import_module(f"nfml_jax.{r}"), "__all__")
    ]
    places = {room: place for place, room in enumerate(ORDER)}
    return sorted(public, key=lambda r: (places.get(r.split(".")[0], len(ORDER)), r))


def room_page(room: str) -> str:
    """Return the Markdown of the API of a room.

    Raises SystemExit if a public class or function has no docstring.
    """
    face = importlib.import_module(f"nfml_jax.{room}")
    parts = [f"# nfml_jax.{room}\n", _words(face)]
    parts += [_entry(face, name) for name in sorted(face.__all__, key=_order(face))]
    for name in MORE.get(room, ()):
        module, _, name = f"nfml_jax.{room}.{name}".rpartition(".")
        what = getattr(importlib.import_module(module), name)
        parts.append(_object(what, f"{module}.{name}"))
    return "\n\n".join(part for part in parts if part) + "\n"


def _words(face) -> str:
    """Return the docstring of a room with its examples as code."""
    return fenced(inspect.cleandoc(face.__doc__ or ""))


def _order(face):
    """Return the key that sorts names: registries first, then as they come."""

    def key(name):
        what = getattr(face, name)
        return 0 if isinstance(what, dict) else 1 + inspect.ismodule(what)

    return key


def _entry(face, name: str) -> str:
    """Return the entry of a public name."""
    what = getattr(face, name)
    public = f"{face.__name__}.{name}"
    if inspect.ismodule(what):
        return _module(what, name)
    if isinstance(what, type) or inspect.isroutine(what):
        return _object(what, public)
    kind = "A registry of" if isinstance(what, dict) else "A constant:"
    words = ", ".join(f"`{key}`" for key in what) if isinstance(what, dict) else None
    return (
        f"## `{name}` {{ #{public} data-toc-label={name} }}\n\n"
        f"{kind} {words or f'`{what}`'}"
    )


def _object(what, public: str, level: int = 2) -> str:
    """Return the directive of a class or a function."""
    if not inspect.getdoc(what) or _made_by_dataclass(what):
        raise SystemExit(f"{public} has no docstring.")
    path = f"{what.__module__}.{what.__qualname__}"
    alias = "" if path == public else f"[](){{ #{public} }}\n\n"
    return f"{alias}::: {path}\n    options:\n      heading_level: {level}"


def _made_by_dataclass(what) -> bool:
    """Return whether the docstring is only the signature that `dataclass` writes."""
    doc = what.__doc__ or inspect.getdoc(what) or ""
    return bool(re.match(rf"{what.__name__}\(", doc))


def _module(module, name: str) -> str:
    """Return the public functions and classes of a module that a face names."""
    own = [
        (inner, what)
        for inner, what in vars(module).items()
        if getattr(what, "__module__", "") == module.__name__ and inner[0] != "_"
    ]
    own = [(i, w) for i, w in own if isinstance(w, type) or inspect.isroutine(w)]
    parts = [f"## {name}\n", _words(module)]
    parts += [_object(what, f"{module.__name__}.{i}", 3) for i, what in own]
    return "\n\n".join(parts)
