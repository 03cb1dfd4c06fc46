"""A search learns from its trials, goes on after a kill, and prunes by the median."""

import json
import re
from pathlib import Path

import pytest

from nfml_jax.cli.command_line import read_sweep
from nfml_jax.errors import UserError
from nfml_jax.runs import find_results
from nfml_jax.runs.pruning import Limits, median_limits
from nfml_jax.runs.run_files import read_status_file
from nfml_jax.sweeps import asking
from nfml_jax.sweeps.executors import Options, make_executor
from nfml_jax.sweeps.searches import Search, choose, search
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.loop import train_and_evaluate
from tests.training.regression import Regression, config

optuna = pytest.importorskip("optuna", reason="pip install 'nfml_jax[search]'")
pytestmark = pytest.mark.usefixtures("undrawn")

ROOT = Path(__file__).parents[2]
RATE = search("optimizer.learning_rate", 1e-4, 0.1, log=True)


def wanted(trials, **options):
    return Search(RATE, metric="validation/fit", trials=trials, **options)


def run(folder, what, log, **options):
    return asking.run_search(
        Regression,
        config(train__total="2 epochs"),
        what,
        folder,
        executor=make_executor("here", Options()),
        terminal=Terminal(stream=log.open("a")),
        **options,
    )


def asked(folder):
    return json.loads((folder / "search.json").read_text())["asked"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a search of six trials, never killed, and its records."""
    folder = tmp_path_factory.mktemp("search")
    records = run(folder / "s", wanted(6, prune=False), folder / "log")
    return folder / "s", records


def test_a_search_runs_trials_and_says_which_is_best(done):
    folder, records = done
    assert len(records) == len(asked(folder)) == 6
    rates = [record["config"]["optimizer"]["learning_rate"] for record in records]
    assert all(1e-4 <= rate <= 0.1 for rate in rates) and len(set(rates)) == 6
    best = min(records, key=lambda record: record["metrics"]["test/error"])
    said = " ".join((folder.parent / "log").read_text().split())
    rate = best["config"]["optimizer"]["learning_rate"]
    assert f"with optimizer.learning_rate={rate}" in said
    assert "The best validation/fit of 6 finished trials" in said


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(
    done, tmp_path, monkeypatch
):
    class Killed(Exception):
        pass

    def killed(jobs, trials, *arguments, **options):
        if len(trials) == 5:
            raise Killed
        return run_trials(jobs, trials, *arguments, **options)

    run_trials = asking.run_trials
    monkeypatch.setattr(asking, "run_trials", killed)
    with pytest.raises(Killed):
        run(tmp_path / "s", wanted(6, prune=False), tmp_path / "log")
    assert len(asked(tmp_path / "s")) == 5
    monkeypatch.setattr(asking, "run_trials", run_trials)
    records = run(tmp_path / "s", wanted(6, prune=False), tmp_path / "log")
    assert asked(tmp_path / "s") == asked(done[0])
    metrics = [[r["metrics"] for r in rs] for rs in (records, done[1])]
    assert metrics[0] == metrics[1]
    # It is finished now, and may have more trials, but not another metric.
    assert len(run(tmp_path / "s", wanted(6), tmp_path / "log")) == 6
    with pytest.raises(UserError, match="holds a search of 6 trials"):
        other = Search(RATE, metric="validation/loss", trials=7)
        run(tmp_path / "s", other, tmp_path / "log")


def test_a_run_below_its_limit_is_pruned_and_not_continued(tmp_path):
    settings = config(train__total="5 epochs", optimizer__learning_rate=1e-9)
    Limits("validation/fit", True, (6, 12), (-100.0, -1.0)).write(tmp_path)
    outcome = train_and_evaluate(Regression, settings, tmp_path)
    assert (outcome.status, outcome.step) == ("pruned", 12)
    status = read_status_file(tmp_path)
    assert (
        status["status"] == "pruned" and "ends the run at step 12" in status["reason"]
    )
    assert not (tmp_path / "result.json").exists()
    assert train_and_evaluate(Regression, settings, tmp_path).status == "pruned"


# Each part of it is tested by itself.
@pytest.mark.slow
def test_a_search_prunes_only_after_its_first_trials(tmp_path):
    folder = tmp_path / "s"
    run(folder, wanted(6, seed=3), tmp_path / "log")
    limited = list(folder.glob("*/pruning.json"))
    assert len(limited) == 2
    statuses = [read_status_file(path.parent)["status"] for path in limited]
    assert set(statuses) <= {"done", "pruned"}


def test_the_median_rule_is_that_of_optuna():
    curves = [{10: 0.1 * i, 20: 0.2 * i} for i in range(5)]
    limits = median_limits("m", True, curves, least=4)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for curve in curves:
        trial = optuna.trial.create_trial(
            value=curve[20], intermediate_values=curve, params={}, distributions={}
        )
        study.add_trial(trial)
    for value in (0.05, 0.15, 0.25, 0.35):
        trial = study.ask()
        trial.report(value, 10)
        assert limits.missed({10: value}) == trial.should_prune()
    assert median_limits("m", True, curves[:3], least=4) is None
    assert Limits("m", False, (10,), (1.0,)).missed({10: 2.0})
    assert not limits.missed({15: 0.0}) and limits.missed({10: float("nan")})


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: search("a", 2.0, 1.0), "a=1.0; expected"),
        (lambda: search("a", 0.0, 1.0, log=True), "a=0.0; expected"),
        (lambda: choose("a", 1), "two or more"),
        (lambda: choose("a", 1, (2,)), "(2,); give numbers"),
        (lambda: Search(trials=2), "has no fields"),
        (lambda: Search(RATE, metric="test/accuracy"), "must not choose"),
        (lambda: Search(RATE, mode="best"), "mode"),
    ],
)
def test_mistakes_get_a_sentence(make, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        make()


def test_few_values_are_tried_once_each_and_integers_stay_integers(tmp_path):
    what = Search(
        choose("seed", 3, 5), metric="validation/fit", fixed={"train.batch_size": 8}
    )
    assert [r["seed"] for r in run(tmp_path / "s", what, tmp_path / "log")] in (
        [3, 5],
        [5, 3],
    )
    (values,) = asking.ask(Search(search("n", 1, 9)), [], 1)
    assert isinstance(values["n"], int)


def test_a_sweep_file_may_give_a_search(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from nfml_jax.sweeps import Search, search\n"
        "def get_sweep():\n"
        "    return Search(search('head.margin', 0.1, 0.6), trials=3)\n"
    )
    found = read_sweep(str(file), {})
    assert [example["head.margin"] for example in found.examples()] == [0.1, 0.6]
    assert found.words() == (
        "a search of 3 trials by validation/accuracy over head.margin from 0.1 to 0.6"
    )


def test_the_page_of_the_kept_search_has_its_numbers():
    page = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    kept = ROOT / "results" / "arcface_search"
    records = find_results([kept])
    done = [record for record in records if record["status"] == "done"]
    assert len(records) == len(asked(kept)) == 30
    assert f"{30 - len(done)} of the thirty trials were pruned" in " ".join(
        page.split()
    )
    best = sorted(done, key=lambda r: -r["metrics"]["validation/accuracy"])[:5]
    for record in best:
        head, rate = record["config"]["head"], record["config"]["optimizer"]
        found = f"{record['metrics']['validation/accuracy']:.1%}".replace("%", " %")
        margin, scale = f"{head['margin']:.3f}", f"{head['scale']:.1f}"
        assert f"| {margin} | {scale} | {rate['learning_rate']:.4f} | {found} |" in page
    assert f"{sum(record['cpu_s'] for record in done):.0f} CPU seconds" in page


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"search": "a", "asked": 1}'])
def test_a_damaged_file_of_a_search_is_named_in_a_sentence(tmp_path, content):
    (tmp_path / asking.FILE).write_text(content)
    with pytest.raises(UserError, match=r"search\.json is no state of a search"):
        run(tmp_path, wanted(2), tmp_path / "log")
    (tmp_path / "pruning.json").write_text(content)
    with pytest.raises(UserError, match=r"pruning\.json is no list of the limits"):
        Limits.read(tmp_path)
