"""The command itself: what it prints, what it leaves, and its exit codes."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from absl import logging
from ml_collections import ConfigDict

from nfml_jax import runs as results
from nfml_jax.cli import train as command
from nfml_jax.cli import train_sweep
from nfml_jax.errors import UserError

ROOT = Path(__file__).parents[2]
SMOKE = "--config=configs/arcface_mnist.py:smoke"


def launch(*arguments, **options):
    return subprocess.run(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        **options,
    )


@pytest.fixture(scope="module")
def folders(manual_dir, tmp_path_factory):
    return {
        "manual_dir": str(manual_dir),
        "data_dir": str(tmp_path_factory.mktemp("prepared")),
    }


@pytest.fixture(scope="module")
def data(folders):
    return [f"--config.data.{name}={folder}" for name, folder in folders.items()]


def test_a_smoke_run(data, tmp_path):
    changes = "--config.head.margin=0.3", "--config.encoder.name=mlp"
    run = launch(SMOKE, *data, *changes, f"--workdir={tmp_path}")
    assert run.returncode == 0, run.stderr
    said = " ".join(run.stdout.split())
    for words in ("arcface_mnist_smoke", "cos(θ + 0.3)", "step 6/6", "accuracy", "128"):
        assert words in said, run.stdout
    assert "\x1b" not in run.stdout and "Traceback" not in run.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["config"]["head"]["margin"] == 0.3


# tests/training stops runs within a process, and tests/sweeps kills their process.
@pytest.mark.slow
def test_a_stopped_run_saves_and_says_how_to_resume(data, tmp_path):
    process = subprocess.Popen(
        [
            *(sys.executable, "launch.py", SMOKE, *data),
            *(f"--workdir={tmp_path}", "--config.train.total=5000 steps"),
            "--config.encoder.name=mlp",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.time() + 120
    status = tmp_path / "status.json"
    while time.time() < deadline:
        if status.exists() and json.loads(status.read_text())["step"] > 0:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    said = "".join(said.split())  # the terminal wraps long paths
    assert "saved" in said and f"--workdir={tmp_path}resumes" in said
    stopped = json.loads(status.read_text())
    assert stopped["status"] == "interrupted" and 0 < stopped["step"] < 5000


def test_divergence_has_an_exit_code(folders, tmp_path, monkeypatch, capsys):
    config = command.read_config(["launch.py", SMOKE])
    config.data.update(folders)
    config.encoder.name = "mlp"
    config.optimizer.update(learning_rate=1e30, name="sgd")
    config.train.total = "30 steps"
    monkeypatch.setattr(command, "CONFIG", SimpleNamespace(value=config))
    monkeypatch.setattr(command, "WORKDIR", SimpleNamespace(value=str(tmp_path)))
    for flag in ("SWEEP", "PROFILE", "DISTRIBUTED", "REPLAY", "TRACK"):
        monkeypatch.setattr(command, flag, SimpleNamespace(value=None))
    # What the command sets for its whole process.
    monkeypatch.setattr(warnings, "showwarning", None)
    monkeypatch.setattr(logging, "set_verbosity", lambda _: None)
    assert command.launch(["launch.py"]) == 3
    assert "diverged at step" in capsys.readouterr().out
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "diverged"


@pytest.mark.parametrize(
    "record, code",
    [
        ({"status": "done"}, 0),
        ({"status": "interrupted"}, 0),
        ({"status": "interrupted", "error": "it was killed"}, 1),
        ({"status": "failed", "error": "a reason"}, 1),
        ({"status": "diverged", "error": "a culprit"}, 3),
    ],
)
def test_a_trial_has_the_exit_code_of_how_it_ended(record, code):
    assert train_sweep.exit_code(record) == code


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "no config is given"),
        (
            ["--config=configs/arcface_mist.py"],
            "did you mean 'configs/arcface_mnist.py'",
        ),
        (["--config=configs/arcface_mnist.py:smok"], "'smok'"),
        (["--config=configs/lfw.py:triplet,cosface"], "expected a name and smoke"),
        (["--config=configs/mnist_losses.py:2,tripplet"], "did you mean 'triplet'"),
        ([SMOKE, "--config.head.margn=1"], "did you mean 'head.margin'"),
        ([SMOKE, "--config.optimizer.b2=0.9"], "takes is in optimizer.options"),
        ([SMOKE, "--config.optimizer.optons.b2=0.9"], "no field 'optimizer.optons.b2'"),
        ([SMOKE, "--config.encoder.hidden=9"], "takes is set in the config's file"),
        ([SMOKE, "--config.train.batch_size=many"], "is not an integer"),
        ([SMOKE, "--config.head=1"], "no field 'head'"),
        ([SMOKE, "--dry_run"], "--dry_run has no effect without a --sweep; give one"),
        ([SMOKE, "--jobs=2"], "--jobs has no effect without"),
        ([SMOKE, "--slurm=partition=gpu"], "--slurm has no effect without a --sweep"),
        (
            [SMOKE, "--sweep=seed=0:2", "--ray_address=a:1"],
            "effect without --executor=ray; give",
        ),
        ([SMOKE, "--sweep=seed=0:2", "--executor=here", "--jobs=2"], "=local or"),
        ([SMOKE, "--process_id=1"], "no effect without --distributed; give that"),
        ([SMOKE, "--profile=9:3"], "--profile=9:3 is not START:STOP"),
        ([SMOKE, "--sweep=configs/sweeps/plan_zoo.py"], "plane_zoo.py'"),
        ([SMOKE, "--sweep=configs/plane.py"], "it has no function get_sweep"),
        ([SMOKE, "--sweep", "configs/sweeps/plane_zoo.py"], "no field 'flow'"),
        ([SMOKE, "--sweep=head.margn=0.1"], "did you mean 'head.margin'"),
        ([SMOKE, "--sweep=seed=0:2,1"], "trial 3 of the sweep (seed=1) is the same"),
        ([SMOKE, "--sweep="], "the sweep is empty"),
        ([SMOKE, "--sweep=absent.py"], "there is no sweep file 'absent.py'"),
        ([SMOKE, "--wrkdir=x"], "Did you mean: workdir"),
        (["--config=configs/plane.py", "--sweep=nothing.py"], "has no trials"),
        (["--config=configs/plane.py", "--sweep=wrong.py"], "'data.nam'"),
        (["--config=dict.py"], "gives a dict; expected an ml_collections.ConfigDict"),
        (["--config=broken.py"], "is not Python: "),
        (["--config=number.py"], "it has no function get_config"),
        (["--config=dict.py:smoke"], "does not take the argument 'smoke'"),
        ([SMOKE, "--sweep=seed=0:99999999999"], "at most 100,000"),
    ],
)
def test_mistakes_get_a_sentence(arguments, sentence, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    sweeps = {"nothing.py": "[]", "wrong.py": "[{'data.nam': 'moons'}]"}
    files = {n: f"def get_sweep(): return {sweep}" for n, sweep in sweeps.items()}
    files |= {"dict.py": "def get_config(): return {}", "number.py": "get_config = 3"}
    files["broken.py"] = "def get_config(:"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        arguments = [a.replace(f"={name}", f"={tmp_path / name}") for a in arguments]
    with pytest.raises(UserError, match=re.escape(sentence)):
        command.parse_flags(["launch.py", *arguments])


def test_words_that_are_no_flags_get_a_sentence():
    with pytest.raises(UserError, match="'words' is not a flag"):
        command.launch(["launch.py", "words"])


def test_a_part_is_turned_off_and_on_by_its_field(tmp_path):
    given = ("optimizer.clip_norm=None", "optimizer.weight_decay=1", "train.patience=x")
    program = "import sys; from nfml_jax.cli import train\n"
    program += "train.enter(); train.parse_flags(sys.argv)\n"
    program += "print(train.CONFIG.value.to_dict())"
    flags = ["--config=configs/nsf.py", *(f"--config.{g}" for g in given)]
    done = subprocess.run(
        [sys.executable, "-c", program, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    config = ast.literal_eval(done.stdout)
    assert config["optimizer"]["clip_norm"] is None
    assert config["optimizer"]["weight_decay"] == 1.0
    assert config["train"]["patience"] == "x"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([SMOKE, "--config.head.easy=maybe"], "easy"),
        ([SMOKE], "no device for JAX_PLATFORMS = 'cuda'"),
    ],
)
def test_the_command_answers_a_mistake_with_exit_code_2(arguments, sentence, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    environment = os.environ | {"PYTHONPATH": "", "JAX_PLATFORMS": "cuda"}
    run = launch(*arguments, workdir, env=environment)
    assert run.returncode == 2
    assert sentence in run.stderr and run.stderr.startswith("error: ")
    assert len(run.stderr.strip().splitlines()) == 1 and "Traceback" not in run.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("parameters, argument", [("", ""), ("argument", ":x")])
def test_a_config_takes_an_argument_only_if_it_is_given(tmp_path, parameters, argument):
    path = tmp_path / "config.py"
    path.write_text(
        "from ml_collections import ConfigDict\n"
        f"def get_config({parameters}): return ConfigDict({{'x': 1}})\n"
    )
    config = command.read_config(["launch.py", f"--config={path}{argument}"])
    assert config == ConfigDict({"x": 1})


# Flags of a sweep, in their defaults.
UNSET = ("RETRY", "VMAP", "EXECUTOR", "JOBS", "CPUS", "GPUS", "RAY_ADDRESS", "SLURM")


def test_a_sweep_lists_its_trials_and_runs_each_once(tmp_path, monkeypatch, capsys):
    file = tmp_path / "seeds.py"
    file.write_text(
        "from nfml_jax.sweeps.overrides import param, product\n"
        "def get_sweep(seed):\n"
        "    flow = {'recipe': 'nice', 'layers': 1, 'hidden': (4,)}\n"
        "    return product(param('flow', flow), param('seed', int(seed)))\n"
    )
    monkeypatch.setattr(warnings, "showwarning", None)
    monkeypatch.setattr(logging, "set_verbosity", lambda _: None)

    def sweep(dry_run):
        flags = {"WORKDIR": tmp_path / "runs", "DRY_RUN": dry_run}
        flags |= {name: train_sweep.flags.FLAGS[name.lower()].default for name in UNSET}
        for flag, value in flags.items():
            monkeypatch.setattr(train_sweep, flag, SimpleNamespace(value=value))
        config = command.read_config(["--config=configs/plane.py:smoke"])
        assert train_sweep.sweep(config, f"{file}:3") == 0
        return capsys.readouterr().out

    monkeypatch.chdir(ROOT)
    listed = sweep(dry_run=True)
    assert "1 trial, 1 program" in listed and not (tmp_path / "runs").exists()
    assert "1 done" in sweep(dry_run=False)
    assert "1 of them before" in sweep(dry_run=False)
    (run,) = results.find_results([tmp_path / "runs"])
    assert run["seed"] == 3 and run["config"]["flow"]["recipe"] == "nice"
    directory = tmp_path / "runs" / listed.splitlines()[1].split()[0]
    names = {path.name for path in directory.iterdir()}
    assert {"config.json", "result.json", "figures", "terminal.txt"} <= names
