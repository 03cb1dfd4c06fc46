"""The live view of a sweep: running trials are always shown, and it fits the screen."""

import io
import json

import pytest
from rich.console import Console

from nfml_jax.runs.file_fields import STATUSES
from nfml_jax.runs.run_directory import replace_json, write_status
from nfml_jax.terminal.sweep_view import SweepView
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.terminal.trial_progress import TrialTerminal, standing


@pytest.fixture
def paths(tmp_path):
    """200 trials: 170 pending, three of each other way to stand, the rest done."""
    paths = [tmp_path / f"trial-{i}" for i in range(200)]
    others = [s for s in STATUSES if s not in ("pending", "done")]
    for i, path in enumerate(paths):
        path.mkdir()
        place = i - 170
        status = "pending" if place < 0 else "done"
        if 0 <= place < 3 * len(others):
            status = others[place % len(others)]
        write_status(path, status)
        if status != "pending":
            replace_json(path / "progress.json", {"step": i, "total": 400})
            lines = [{"step": 1, "train/loss": i / 100}, {"step": 2, "other": 1.0}]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (path / "metrics.jsonl").write_text(text + '{"step": 3, "train/lo')
    return paths


def drawn(view, width, height):
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(view.render(width, height))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width, height", [(80, 24), (40, 10), (100, 1000)])
def test_the_screen_holds_the_view_and_what_runs_is_in_it(paths, width, height):
    view = SweepView(Terminal(stream=io.StringIO(), interactive=True), paths)
    lines = drawn(view, width, height)
    assert len(lines) < height and all(len(line) <= width for line in lines)
    assert sum("running" in line for line in lines[:-1]) == 3
    assert lines[-1].startswith("15 of 200 done, 3 running")
    assert width < 80 or "3 failed, 3 diverged, 3 pruned, 3 interrupted" in lines[-1]


def test_a_line_shows_the_progress_of_a_trial(paths):
    view = SweepView(Terminal(stream=io.StringIO(), interactive=True), paths[170:])
    line = drawn(view, 100, 50)[0]
    for word in ("trial-170", "running", "42%", "loss 1.7000"):
        assert word in line
    # It follows the directory.
    write_status(paths[170], "done")
    replace_json(paths[170] / "progress.json", {"step": 400, "total": 400})
    assert "100%" in drawn(view, 100, 50)[0]


def test_without_a_terminal_each_ended_trial_prints_a_line(paths):
    stream = io.StringIO()
    with SweepView(Terminal(stream=stream, interactive=False), paths) as view:
        view.ended(paths[6], {"status": "failed", "error": "a reason"})
        view.ended(paths[7], {"status": "done", "wall_s": 3.2})
    failed, done = stream.getvalue().splitlines()
    assert failed.split() == ["7/200", "trial-6", "failed", "a", "reason"]
    assert done.split() == ["8/200", "trial-7", "done", "3", "s"]


def test_a_trial_reports_its_progress_through_its_directory(tmp_path):
    terminal = TrialTerminal(io.StringIO(), [tmp_path])
    with terminal.progress(10, 4) as progress:
        progress.update(7, loss=0.5)
        assert (standing(tmp_path).step, standing(tmp_path).total) == (7, 10)
        progress.update(10, loss=0.5)
    assert standing(tmp_path).step == 10 and standing(tmp_path).loss is None
