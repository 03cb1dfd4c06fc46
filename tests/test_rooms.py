"""The rooms of the house: each has a face, and imports run one way.

Every import statement counts: those within a function, and those for type checkers.
"""

import ast
import importlib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
ROOT = HOUSE / "nfml_jax"

# A room imports only rooms that stand before it.
ORDER = (
    "errors",
    "version",
    "ops",
    "nets",
    "bijectors",
    "testing",
    "flows",
    "variational",
    "heads",
    "losses",
    "evaluation",
    "mahalanobis",
    "tables",
    "synthetic",
    "data",
    "data.vectors",
    "data.pixels",
    "plots",
    "distributed",
    "runs",
    "terminal",
    "training",
    "sweeps",
    "loading",
    "cli",
)
# The laboratory and what stands around it; `cli` runs the laboratory.
OUTSIDE = ("experiments", "configs", "cli", "benchmarks")
WITHIN = ("data.vectors", "data.pixels")  # rooms within a room
ROOMS = sorted([path.parent.name for path in ROOT.glob("*/__init__.py")] + [*WITHIN])
LARGEST_SHARE = 0.15


def folder(room):
    return ROOT / room.replace(".", "/")


def files_of(room):
    """The files of a room, without those of the rooms within it."""
    inner = [folder(other) for other in WITHIN if other.startswith(f"{room}.")]
    for path in folder(room).rglob("*.py"):
        if not any(path.is_relative_to(place) for place in inner):
            yield path


def imported(path):
    """The names of this package's modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def modules():
    """The files of the house by the names of their modules."""
    files = {}
    for folder in ("nfml_jax", "experiments", "configs", "benchmarks"):
        for path in (HOUSE / folder).rglob("*.py"):
            name = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
            files[name.removesuffix(".__init__")] = path
    return files


def file_of(name, files):
    """The module of the longest beginning of a name that is a file's, if any."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name


def room_of(module):
    if not module.startswith("nfml_jax."):
        return None
    name = module.removeprefix("nfml_jax.")
    inner = [room for room in WITHIN if f"{name}.".startswith(f"{room}.")]
    return inner[0] if inner else name.split(".")[0]


def test_every_room_has_its_place_in_the_order():
    files = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    assert files | set(ROOMS) == set(ORDER)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_its_own(room):
    place = ORDER.index(room)
    for path in files_of(room):
        for module in imported(path):
            other = room_of(module)
            if room != "cli":  # which stands above the laboratory, and the package
                assert module.split(".")[0] not in OUTSIDE, path
                assert other is None or other in ORDER, f"{path} imports {module}"
            if other in ORDER and other != room:
                assert ORDER.index(other) < place, f"{path} imports {module}"


@pytest.mark.parametrize("folder", OUTSIDE)
def test_the_laboratory_imports_only_what_stands_below(folder):
    place = ROOT / "cli" if folder == "cli" else HOUSE / folder
    above = OUTSIDE[OUTSIDE.index(folder) + 1 :]
    for path in place.rglob("*.py"):
        for module in imported(path):
            name = module.removeprefix("nfml_jax.").split(".")[0]
            assert name not in above, f"{path} imports {module}"


def test_no_files_import_each_other_in_a_circle():
    files = modules()
    needs = {
        module: {found for name in imported(path) if (found := file_of(name, files))}
        for module, path in files.items()
    }
    # The files that import nothing which is left are taken away, again and again.
    while free := {m for m, needed in needs.items() if not (needed - {m}) & set(needs)}:
        needs = {m: needed for m, needed in needs.items() if m not in free}
    assert not needs, f"import each other in a circle: {sorted(needs)}"


FACES = sorted(
    ".".join(path.parent.relative_to(HOUSE).parts) for path in ROOT.rglob("__init__.py")
)


@pytest.mark.parametrize("room", FACES)
def test_a_room_has_a_face(room):
    face = importlib.import_module(room)
    assert face.__doc__ and face.__doc__.strip()
    assert face.__all__
    for name in face.__all__:
        assert getattr(face, name) is not None


def test_bijectors_and_heads_do_not_know_each_other():
    for room, other in (("bijectors", "heads"), ("heads", "bijectors")):
        for path in files_of(room):
            assert other not in map(room_of, imported(path)), path


def test_no_room_is_more_than_its_share_of_the_library():
    lines = {
        room: sum(len(p.read_text().splitlines()) for p in folder(room).rglob("*.py"))
        for room in ROOMS  # with the rooms within it
    }
    total = sum(lines[room] for room in ROOMS if room not in WITHIN)
    for room, count in lines.items():
        assert count <= LARGEST_SHARE * total, f"{room}: {count} of {total} lines"
