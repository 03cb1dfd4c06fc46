"""Notebooks and pictures, executed once for each version of the files they use."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
from run_cells import ROOT, code_digest, digest

NOTEBOOKS = ROOT / "docs/notebooks"
CACHE = ROOT / ".cache/docs"
AT_ONCE = 2  # processes; each uses about one core


def cells(scripts: list[Path]) -> dict[str, list[dict]]:
    """Return the executed cells of each script, by the script's stem.

    With DOCS_EXECUTE=0 in the environment notebooks don't run, and their cells have no
    outputs.
    """
    shown = {}
    if os.environ.get("DOCS_EXECUTE") == "0":
        shown = {s.stem: unexecuted(s) for s in scripts if s.parent == NOTEBOOKS}
    scripts = [script for script in scripts if script.stem not in shown]
    old = [script for script in scripts if not fresh(script)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(execute, old))
    return shown | {script.stem: with_words(script) for script in scripts}


def with_words(script: Path) -> list[dict]:
    """Return the executed cells of a script, with the current text of the script."""
    executed = json.loads((CACHE / script.stem / "cells.json").read_text())
    code = (cell for cell in executed if cell["kind"] == "code")
    now = unexecuted(script)
    return [next(code) if cell["kind"] == "code" else cell for cell in now]


def unexecuted(script: Path) -> list[dict]:
    """Return the cells of a script without outputs."""
    empty = {"text": "", "figures": []}
    found = jupytext.read(script).cells
    return [empty | {"kind": c.cell_type, "source": c.source} for c in found]


def fresh(script: Path) -> bool:
    """Return whether the cached cells are of the current files."""
    record = CACHE / script.stem / "files.json"
    if not record.exists():
        return False
    files = json.loads(record.read_text())
    if files.pop("code", "") != code_digest(script):
        return False
    return all(digest(ROOT / name) == value for name, value in files.items())


def execute(script: Path) -> None:
    """Run a script in its own process; exit with its output if it fails."""
    folder = CACHE / script.stem
    shutil.rmtree(folder, ignore_errors=True)
    runner = Path(__file__).with_name("run_cells.py")
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(CACHE / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    done = subprocess.run(
        [sys.executable, str(runner), str(script), str(folder)],
        env=environment | os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{script.name}: {done.stdout}{done.stderr}")


def page(script: Path, executed: list[dict], images: str) -> str:
    """Return the Markdown of an executed notebook with figures in `images`."""
    parts = []
    for cell in executed:
        if cell["kind"] == "markdown":
            parts.append(cell["source"])
            continue
        if not cell["source"].startswith("# hidden"):
            parts.append(f"```python\n{cell['source']}\n```")
        if cell["text"].strip():
            text = cell["text"].rstrip()
            parts.append(f"```{{ .text .output .no-copy }}\n{text}\n```")
        parts += [figure(f"{images}/{stem}", "") for stem in cell["figures"]]
    name = script.stem
    title, _, rest = "\n\n".join(parts).partition("\n")
    links = (
        f"[Notebook]({name}.ipynb){{ .download }} · [script]({name}.py){{ .download }}"
    )
    return f"{title}\n\n{links}\n{rest}\n"


def figure(stem: str, words: str) -> str:
    """Return the Markdown of a figure that exists for light and for dark pages."""
    return "".join(
        f"![{words}]({stem}-{theme}.png#only-{theme}){{ loading=lazy }}"
        for theme in ("light", "dark")
    )


def as_ipynb(script: Path) -> str:
    """Return the notebook in Jupyter's own format, without outputs."""
    return jupytext.writes(jupytext.read(script), fmt="ipynb")
