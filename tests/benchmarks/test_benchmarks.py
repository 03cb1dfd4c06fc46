"""`python -m benchmarks`: its records, comparisons and errors, without timing."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from benchmarks import __main__ as program
from benchmarks import catalogue, comparison, environments, harness
from benchmarks.catalogue import BENCHMARKS, chosen
from benchmarks.comparison import Verdict, compare, is_worse
from nfml_jax.errors import UserError

ARGS = argparse.Namespace(platform="cpu", threads=1, repeats=3)


def timings(**walls):
    """Return implementations of a record, their CPU times half of wall."""
    facts = {"version": "1", "compile": None, "memory": 2**20, "value": None}
    return {
        name: facts | {"wall": list(wall), "cpu": [w / 2 for w in wall]}
        for name, wall in walls.items()
    }


def made(case="flows a", **walls):
    return harness.record(case, "a step", "ours", timings(**walls), ARGS, rows=3)


RECORD = made(ours=(1.0, 2.0, 3.0), quick=(2.0, 4.0, 5.0), slow=(9.0, 9.0, 9.0))


def test_a_record_names_the_fastest_peer_and_the_device():
    assert RECORD["peer"] == "quick" and RECORD["rows"] == 3
    assert RECORD["device"].startswith("cpu-") and "/" not in json.dumps(RECORD)
    assert comparison.ratios_of(RECORD, "wall") == [0.5, 0.5, 0.6]
    assert made(ours=(1.0,) * 3)["peer"] is None
    assert made(other=(1.0,) * 3, quick=(1.0,) * 3)["peer"] is None


def test_a_gpu_has_wall_time_only():
    assert harness.kinds(RECORD) == ("wall", "cpu")
    assert harness.kinds(RECORD | {"device": "nvidia-h100"}) == ("wall",)
    assert len(comparison.rows(RECORD | {"device": "nvidia-h100"}).splitlines()) == 2


def test_in_units_leaves_everything_but_times():
    halves = harness.in_units(RECORD["implementations"], 2)
    assert halves["ours"]["wall"] == [0.5, 1.0, 1.5]
    assert halves["ours"] | {kind: 0 for kind in harness.KINDS} == RECORD[
        "implementations"
    ]["ours"] | {kind: 0 for kind in harness.KINDS}


@pytest.mark.parametrize(
    ("then", "now", "worse"),
    [
        ([1.0, 1.1, 1.2], [1.0, 1.1, 1.2], False),
        ([1.0, 1.0, 1.0], [1.09, 1.09, 1.09], False),  # less than a tenth
        ([1.0, 1.0, 1.0], [1.11, 1.12, 1.11], True),
        ([0.9, 1.0, 1.3], [1.25, 1.3, 1.4], False),  # the repeats overlap
        ([0.9, 1.0, 1.3], [1.31, 1.4, 1.6], True),
        ([1.3, 1.4, 1.6], [0.9, 1.0, 1.1], False),  # it is better
    ],
)
def test_worse_is_beyond_the_joint_spread_and_a_tenth(then, now, worse):
    assert is_worse(then, now) is worse


def test_ratios_are_compared_beside_the_recorded_peer():
    # The whole machine is slower by half, and another peer now the fastest.
    now = made(ours=(1.5, 3.0, 4.5), quick=(3.0, 6.0, 7.5), slow=(0.1, 0.1, 0.1))
    verdicts = compare({"flows a": RECORD}, [now])
    assert [verdict.worse for verdict in verdicts] == [False, False]
    slower = made(ours=(2.0, 4.0, 6.0), quick=(2.0, 4.0, 5.0))
    assert all(verdict.worse for verdict in compare({"flows a": RECORD}, [slower]))
    slower["implementations"]["quick"]["version"] = "2"
    assert "quick was 1 and is 2" in compare({"flows a": RECORD}, [slower])[0]
    alone = made(ours=(1.0,) * 3, slow=(1.0,) * 3)
    new = made("flows b", ours=(1.0,) * 3, quick=(1.0,) * 3)
    said = compare({"flows a": RECORD}, [alone, new])
    assert len(said) == 2 and not any(isinstance(one, Verdict) for one in said)


def test_records_are_kept_a_line_each_to_five_digits(tmp_path):
    file = tmp_path / "deep" / "cpu.json"
    record = RECORD | {"value": 1.23456789, "of": 123456789}
    comparison.write({"flows a": record}, file)
    again = comparison.read(file)["flows a"]
    assert again == record | {"value": 1.2346}
    assert comparison.read(tmp_path / "none.json") == {}
    file.write_text('[{"name": 1}]')
    with pytest.raises(UserError, match="no list of records"):
        comparison.read(file)


def test_the_table_shows_times_ratio_memory_and_compilation():
    record = made(ours=(0.001, 0.002, 0.003), quick=(0.01, 0.02, 0.03))
    record["implementations"]["ours"]["compile"] = [0.5, 1.0]
    wall, cpu = comparison.rows(record).splitlines()
    for shown in (
        "flows a",
        "2.00 ms",
        "20.0 ms",
        "0.10 (0.10-0.10)",
        "1, 1",
        "1.50 s",
    ):
        assert shown in wall
    assert "beside quick" in cpu and "CPU" in cpu and "1.00 ms" in cpu
    assert max(map(len, wall.splitlines())) < 110
    assert "ratio" in comparison.HEADER
    assert comparison.duration(0) == "0 µs" and comparison.duration(1234) == "1234 s"


def test_every_benchmark_has_its_script_and_its_peers():
    for benchmark in BENCHMARKS.values():
        assert Path(catalogue.__file__).with_name(benchmark.script).is_file()
        assert benchmark.peers is None or benchmark.peers in environments.ENVIRONMENTS
    assert list(chosen([])) == list(BENCHMARKS)
    assert chosen(["flows:6x5x128", "encoder"]) == {
        "flows": ("6x5x128",),
        "encoder": (),
    }
    assert all(name in catalogue.listing() for name in BENCHMARKS)


def test_the_work_of_glow_is_that_of_its_convolutions(monkeypatch):
    monkeypatch.syspath_prepend(Path(catalogue.__file__).parent)
    from image_setting import multiplications, scales
    from image_training import glow, images

    assert list(scales()) == [(14, 4), (7, 8)]
    assert round(multiplications(8, 64) / 1e6, 1) == 16.2  # times 128 x 6: 12.4e9
    model, key = glow(2, 3), jax.random.key(0)
    shapes = jax.eval_shape(model.init, key, images(2), key)["params"]
    flat = jax.tree_util.tree_leaves_with_path(shapes)
    kernels = [x.size for path, x in flat if "kernel" in jax.tree_util.keystr(path)]
    # Both steps' 3x3, 1x1 and 3x3 convolutions: those of 2, 3 and 4 channels on 14x14
    # pixels, and those of 4, 3 and 8 channels on 7x7.
    first, second = [54 * 2, 9 * 2, 108 * 2], [108 * 2, 9 * 2, 216 * 2]
    assert sorted(kernels) == sorted(first + second)
    assert multiplications(2, 3) == 14**2 * sum(first) + 7**2 * sum(second)


def test_serve_prints_the_facts_of_the_first_run(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", iter(["grow\n"]))
    kept = []

    def grow():
        kept.append(bytearray(2**25))
        return 7.0

    harness.serve({"grow": grow}, "2.1", ARGS, {"grow": (1, 2)}, rows=5)
    first, spent = map(json.loads, capsys.readouterr().out.splitlines())
    facts = first["grow"]
    assert facts["memory"] is None or facts["memory"] > 2**24
    assert (facts["version"], facts["value"], facts["rows"]) == ("2.1", 7.0, 5)
    assert facts["compile"] == [1, 2] and len(spent) == len(harness.KINDS)


class Pip:
    """A replacement of the processes that make an environment."""

    def __init__(self, fails=None):
        self.fails, self.commands = fails, []

    def __call__(self, command, **_):
        self.commands.append(command)
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        if self.fails and self.fails in command:
            output = "Collecting torch\nERROR: No matching distribution found.\n"
            raise subprocess.CalledProcessError(1, command, stderr=output)


def test_an_environment_is_made_once_and_again_when_its_peers_change(
    tmp_path, monkeypatch, capsys
):
    file, pip = tmp_path / "zoo.txt", Pip()
    file.write_text("# Peers.\nlion==1\n")
    monkeypatch.setitem(environments.ENVIRONMENTS, "zoo", file)
    monkeypatch.setattr(environments.subprocess, "run", pip)
    python = environments.environment("zoo", tmp_path / "cache")
    assert Path(python).is_file() and "lion==1" in capsys.readouterr().out
    assert python == environments.environment("zoo", tmp_path / "cache")
    assert len(pip.commands) == 2 and capsys.readouterr().out == ""
    file.write_text("lion==2\n")
    environments.environment("zoo", tmp_path / "cache")
    assert len(pip.commands) == 4


@pytest.mark.parametrize("step", ["venv", "pip"])
def test_a_failed_environment_is_a_sentence_and_leaves_nothing(
    step, tmp_path, monkeypatch
):
    monkeypatch.setattr(environments.subprocess, "run", Pip(fails=step))
    with pytest.raises(UserError, match=r"No matching distribution found\).*=flows="):
        environments.environment("flows", tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(environments.subprocess, "run", Pip())
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory"):
        environments.environment("flows", tmp_path / "file" / "cache")


def test_pythons_are_named_for_one_environment_or_all():
    found = environments.named_pythons([sys.executable])
    assert set(found) == set(environments.ENVIRONMENTS)
    assert list(environments.named_pythons([f"flows={sys.executable}"])) == ["flows"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encodr"], "did you mean 'encoder'"),
        (["flows:6x5x129"], "did you mean '6x5x128'"),
        (["--peer-python=/no/python"], "/no/python cannot be executed"),
        (["--peer-python=flow=python"], "did you mean 'flows'"),
        (["--platform=cud"], "did you mean 'cuda'"),
        (["--repeats=0"], "give at least 1"),
        (["--check", "--platform=cpu"], "nothing is recorded for cpu-"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(arguments, said, tmp_path, capsys):
    assert program.main([*arguments, f"--output={tmp_path}"]) == 2
    printed = capsys.readouterr().err
    assert said in printed and len(printed.splitlines()) == 1


SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
for flag in ("--cases", "--repeats", "--json"):
    parser.add_argument(flag)
args = parser.parse_args()
assert args.cases != "breaks"
record = json.loads({record!r})
open(args.json, "w").write(json.dumps([record | dict(case="zoo " + args.cases)]))
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """Return a function that runs benchmarks of one script, which writes a record."""
    script = tmp_path / "zoo.py"
    script.write_text(SCRIPT.format(record=json.dumps(RECORD)))
    line = catalogue.Benchmark(str(script), "animals", cases=("a", "breaks"))
    monkeypatch.setitem(BENCHMARKS, "zoo", line)
    line = catalogue.Benchmark(str(script), "plants", peers="flows", modules="no_such")
    monkeypatch.setitem(BENCHMARKS, "peerless", line)
    where = ["--platform=cpu", f"--output={tmp_path / 'out'}", "--repeats=1"]
    return lambda *arguments: program.main([*arguments, *where])


def test_measurements_are_written_drawn_and_checked(zoo, tmp_path, capsys):
    assert zoo("zoo:a") == 0
    files = sorted((tmp_path / "out").iterdir())
    name = RECORD["device"]
    assert [file.name for file in files] == [f"{name}.json", f"{name}.png"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "zoo a" in capsys.readouterr().out
    assert zoo("zoo:a", "--check") == 0
    assert capsys.readouterr().out.count("no worse") == 2

    records = comparison.read(files[0])
    for kind in harness.KINDS:
        ours = records["zoo a"]["implementations"]["ours"]
        ours[kind] = [seconds / 2 for seconds in ours[kind]]
    comparison.write(records, files[0])
    before = files[0].read_bytes()
    with pytest.raises(SystemExit) as left:
        zoo("zoo:a", "--check")
    assert left.value.code == 1 and files[0].read_bytes() == before
    assert capsys.readouterr().out.count("WORSE") == 2


def test_unavailable_benchmarks_are_named_and_the_rest_runs(zoo, tmp_path, capsys):
    assert zoo("peerless", "zoo", f"--peer-python={sys.executable}") == 2
    printed = capsys.readouterr()
    assert "cannot import no_such" in printed.out and "zoo a" in printed.out
    assert "not measured: peerless, zoo:breaks" in printed.err
    (written,) = (tmp_path / "out").glob("*.json")
    assert list(comparison.read(written)) == ["zoo a"]
