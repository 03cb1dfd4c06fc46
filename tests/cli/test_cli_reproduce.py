"""Kept results are run again: earlier configs are brought up to date and compared."""

import copy
import json
from pathlib import Path

import pytest

from configs import plane
from experiments import make_experiment
from experiments.checks import check_experiment
from nfml_jax.cli import reproduce
from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.runs.migrations import APPEARANCES, up_to_date
from nfml_jax.runs.records import find_results
from nfml_jax.terminal.terminal import silent
from nfml_jax.training.loop import train_and_evaluate

pytestmark = pytest.mark.usefixtures("undrawn")
KEPT = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A result of a smoke run, as a version without `train.patience` left it."""
    folder = tmp_path_factory.mktemp("kept")
    config = plane.get_config("smoke").to_dict()
    config["flow"] = {"recipe": "realnvp", "layers": 2, "hidden": (8,)}
    outcome = train_and_evaluate(
        make_experiment, config, folder / "run", terminal=silent()
    )
    result = copy.deepcopy(outcome.result)
    del result["config"]["train"]["patience"]
    file = folder / "kept" / "seed0" / "result.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(result))
    return folder, file


def test_an_earlier_run_is_the_run_of_today(kept, capsys):
    folder, file = kept
    arguments = [str(file), f"--workdir={folder / 'again'}"]
    assert reproduce.main(arguments) == 0
    said = capsys.readouterr().out
    assert "test/kl" in said and "All hold." in said


def test_a_metric_outside_its_limit_gives_exit_code_1(kept, capsys):
    folder, file = kept
    result = json.loads(file.read_text())
    result["metrics"]["test/kl"] *= 1.1
    other = folder / "kept" / "seed1" / "result.json"
    other.parent.mkdir()
    other.write_text(json.dumps(result))
    arguments = [str(other), f"--workdir={folder / 'again'}"]
    assert reproduce.main(arguments) == reproduce.DIFFERENT
    (line,) = [w for w in capsys.readouterr().out.splitlines() if "OUTSIDE" in w]
    assert line.startswith("test/kl")


def test_limits_come_from_the_spread_over_seeds():
    kept, new = {"a": 1.0, "b": 2.0}, {"a": 1.05, "b": 2.05}
    rows = reproduce.compare(kept, new, [{"a": 1.0}, {"a": 1.1}, {"b": 2.0}])
    assert [row.holds for row in rows] == [True, False]
    assert rows[0].limit == pytest.approx(3 * 0.0707, rel=1e-3)
    (missing,) = reproduce.compare({"a": 1.0}, {}, [])
    assert not missing.holds


def test_the_runs_of_a_row_are_chosen_by_words():
    records = [
        {"name": name, "data": {"name": "moons"}, "seed": seed}
        for name in ("maf", "rq_nsf coupling")
        for seed in (0, 1)
    ]
    assert reproduce.chosen(records, "") == records
    assert reproduce.chosen(records, "coupling, seed1") == records[3:]
    with pytest.raises(UserError, match="coupling, maf, moons, rq_nsf, seed0, seed1"):
        reproduce.chosen(records, "maf rings")


@pytest.mark.parametrize(
    "experiment, recipe, added",
    [
        ("images", "glow", True),
        ("images", "flowpp", True),
        ("images", "residual", False),
        ("density", "maf", False),
    ],
)
def test_earlier_flows_of_images_keep_the_bound_of_their_scales(
    experiment, recipe, added
):
    config = {"experiment": experiment, "flow": {"recipe": recipe}}
    flow = up_to_date(config)["flow"]
    assert flow == {"recipe": recipe} | ({"max_log_scale": 5.0} if added else {})
    config["flow"]["max_log_scale"] = 2.0
    assert up_to_date(config)["flow"]["max_log_scale"] == 2.0


def test_every_kept_config_has_the_fields_of_today():
    checked = set()
    for record in find_results([KEPT]):
        config = up_to_date(record["config"])
        if (kind := (record["name"], *flatten(config))) not in checked:
            checked.add(kind)
            check_experiment(config)
        assert "patience" in config["train"], record["name"]
        assert up_to_date(config) == config
        if config["experiment"] in ("margin", "pairs"):
            # A config file of today gives these: its command resumes earlier runs.
            assert "baselines" in config and set(APPEARANCES) <= set(config["augment"])
        changed = set(flatten(config)) ^ set(flatten(record["config"]))
        changed -= {f"augment.{name}" for name in APPEARANCES}
        assert changed <= {
            "train.patience",
            "baselines",
            "class_conditional",
            "cpu_devices",
            "data.without",
            "data.columns",
            "data.name",
            "data.path",
            "data.standardise",
            "data.standardize",
            "data.sum_blocks",
            "encoder.mirror",
            "flow.max_log_scale",
            "loss.normalise",
            "loss.normalize",
            "noise.masked",
            "optimizer.decay",
            "optimizer.head_multiplier",
            "optimizer.momentum",
            "optimizer.multipliers.head",
        }
