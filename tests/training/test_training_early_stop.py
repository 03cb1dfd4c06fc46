"""A run whose validation doesn't improve ends before its last step."""

import copy
import json
import os
import re
import signal

import pytest

from nfml_jax.errors import UserError
from nfml_jax.sweeps.overrides import make_trials, param
from nfml_jax.sweeps.vmapped import run_group
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.loop import train_and_evaluate
from tests.training.regression import Regression, config

pytestmark = pytest.mark.usefixtures("undrawn")

STILL, LEARNING = 1e-30, 0.05  # rates; the one is best at its first validation
SETTINGS = {"train__patience": "2 epochs", "optimizer__learning_rate": STILL}


class Replaceable(Regression):
    """A regression whose numbers can be replaced; told to, it is stopped in the end."""

    stopped = False

    def with_config(self, config):
        other = copy.copy(self)
        other.config = config
        return other

    def report(self, variables, apply):
        if self.stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().report(variables, apply)


class Stopped(Replaceable):
    stopped = True


def test_patience_ends_a_run_that_is_interrupted_there(tmp_path, capsys):
    settings = config(**SETTINGS)
    assert train_and_evaluate(Stopped, settings, tmp_path).status == "interrupted"
    said = "ends at step 18 of 30: validation was best at step 6."
    assert said in capsys.readouterr().out
    outcome = train_and_evaluate(Replaceable, settings, tmp_path)
    assert (outcome.status, outcome.step) == ("done", 18)
    assert outcome.result["steps"] == 18
    assert outcome.result["reported"] == {"checkpoint": "last", "step": 18}
    assert json.loads((tmp_path / "status.json").read_text())["step"] == 18
    assert (tmp_path / "checkpoints" / "18").is_dir()


# A group evaluates and stops its runs as a single run does.
@pytest.mark.slow
def test_a_run_of_a_group_stops_early_by_itself(tmp_path):
    sweep = param("optimizer.learning_rate", STILL, LEARNING)
    trials = make_trials(config(train__patience="2 epochs"), sweep)
    paths = [tmp_path / trial.id for trial in trials]
    terminal = Terminal(stream=(tmp_path / "log").open("w"))
    records = run_group(Replaceable, trials, paths, terminal=terminal)
    assert [record["steps"] for record in records] == [18, 30]
    assert records[0]["metrics"]["test/error"] > records[1]["metrics"]["test/error"]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"train__patience": "soon"}, "train.patience = 'soon' is not a duration"),
        (SETTINGS | {"train__evaluate_every": None}, "needs validations to compare"),
    ],
)
def test_mistakes_about_patience_get_a_sentence(changes, sentence, tmp_path):
    with pytest.raises(UserError, match=re.escape(sentence)):
        train_and_evaluate(Regression, config(**changes), tmp_path)
