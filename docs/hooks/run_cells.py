"""Execute the cells of a script in jupytext's percent format and save their outputs.

`python docs/hooks/run_cells.py SCRIPT FOLDER` writes FOLDER/cells.json, a list of cells
`{"kind": "markdown" or "code", "source", "text", "figures"}`, and the figures as PNG
files, each for a light and for a dark page. What a cell prints is its text; its last
expression is shown, too, as in a notebook. FOLDER/files.json has digests of the
script's code and of the files that it used: while they hold, nothing runs again.
"""

import ast
import contextlib
import hashlib
import io
import json
import sys
import traceback
from pathlib import Path

import jupytext
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
DPI = 150
# The colors of text, background and grid on a light and on a dark page.
THEMES = {
    "light": ("#303030", "#ffffff", "#c8c8c8"),
    "dark": ("#d8dbe2", "#16181d", "#3d424d"),
}
BLACK = ("#000000", "#262626")


def digest(path: Path) -> str:
    """Return the digest of a file, or "" if it is gone."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def code_digest(script: Path) -> str:
    """Return the digest of a script's code without its text."""
    code = [c.source for c in jupytext.read(script).cells if c.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def run(script: Path, folder: Path) -> None:
    """Execute `script` and write its cells, figures and files to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    namespace, cells = {"__name__": "__main__"}, []
    for cell in jupytext.read(script).cells:
        shown = {"kind": cell.cell_type, "source": cell.source, "text": ""}
        cells.append(shown | {"figures": []})
        if cell.cell_type != "code":
            continue
        printed, figures = io.StringIO(), {}
        with contextlib.redirect_stdout(printed):
            value = _execute(cell.source, script, namespace)
            if isinstance(value, Figure):
                figures = {str(sum(len(c["figures"]) for c in cells)): value}
            elif isinstance(value, dict) and _are_figures(value.values()):
                figures = value
            elif value is not None:
                print(value)
        cells[-1]["text"] = printed.getvalue()
        cells[-1]["figures"] = [save_both(f, folder, s) for s, f in figures.items()]
    (folder / "cells.json").write_text(json.dumps(cells))
    used = used_files(script, namespace.get("FILES", ()))
    (folder / "files.json").write_text(json.dumps(used, indent=1))


def _are_figures(values) -> bool:
    return bool(values) and all(isinstance(value, Figure) for value in values)


def _execute(source: str, script: Path, namespace: dict):
    """Run the statements of a cell; return the value of its last expression."""
    tree, place = ast.parse(source), f"a cell of {script.name}"
    last = tree.body[-1] if tree.body else None
    value = None
    try:
        if isinstance(last, ast.Expr) and not source.rstrip().endswith(";"):
            rest = ast.Module(tree.body[:-1], [])
            exec(compile(rest, place, "exec"), namespace)
            expression = ast.Expression(last.value)
            value = eval(compile(expression, place, "eval"), namespace)
        else:
            exec(compile(tree, place, "exec"), namespace)
    except Exception:
        sys.exit(f"{source}\n\n{traceback.format_exc()}")
    return value


def save_both(figure: Figure, folder: Path, stem: str) -> str:
    """Write a figure for light and for dark pages; return its stem."""
    for theme in THEMES:
        recolor(figure, theme)
        path = folder / f"{stem}-{theme}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI, transparent=True, bbox_inches="tight")
    return stem


def recolor(figure: Figure, theme: str) -> None:
    """Set the text, background and grid colors of a figure to those of a theme.

    Text and lines in the color of the ground lie on a picture, and stay as they are.
    """
    grounds = [to_hex(ground) for _, ground, _ in THEMES.values()]
    new = [to_rgba(color) for color in THEMES[theme]]
    roles = {color: new[0] for color in BLACK}
    for colors in THEMES.values():
        roles |= dict(zip(colors, new, strict=True))
    for artist in figure.findobj():
        for part in ("color", "edgecolor", "facecolor", "markeredgecolor"):
            get = getattr(artist, f"get_{part}", None)
            put = getattr(artist, f"set_{part}", None)
            try:
                alpha = to_rgba(get())[3]
                old = to_hex(get())
            except (TypeError, ValueError):  # no such part, or many colors
                continue
            marks = part in ("color", "markeredgecolor")
            if old in grounds and (marks or isinstance(artist, Collection)):
                continue
            role = roles.get(old)
            if role and alpha and put:
                put((*role[:3], alpha))
    for axes in figure.axes:
        axes.tick_params(which="both", labelcolor=new[0], color=new[2])


def used_files(script: Path, more) -> dict[str, str]:
    """Return digests of the script's code and of the project's files that it used.

    They are the modules that it imported, and `more`.
    """
    files = {Path(__file__).resolve(), *(Path(file).resolve() for file in more)}
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if name and Path(name).resolve().is_relative_to(ROOT):
            files.add(Path(name).resolve())
    code = {"code": code_digest(script)}
    return code | {str(file.relative_to(ROOT)): digest(file) for file in sorted(files)}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    run(Path(sys.argv[1]), Path(sys.argv[2]))
