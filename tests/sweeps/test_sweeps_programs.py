"""Trials are grouped by what a program can take as numbers, and by nothing else."""

import pytest

from nfml_jax.errors import UserError
from nfml_jax.sweeps import programs as groups
from nfml_jax.sweeps.overrides import make_trials, param, product
from nfml_jax.sweeps.programs import grouped

CONFIG = {
    "name": "base",
    "seed": 0,
    "platform": "auto",
    "optimizer": {"learning_rate": 0.1, "weight_decay": None},
    "head": {"name": "arcface", "margin": 0.5, "scale": 30.0, "easy": False},
}


def sizes(*sweeps, mode="on"):
    trials = make_trials(CONFIG, product(*sweeps), {"head.scale"})
    groups = grouped(trials, mode)
    ids = [trial.id for group in groups for trial in group]
    assert sorted(ids) == sorted(trial.id for trial in trials)
    return [len(group) for group in groups]


@pytest.mark.parametrize(
    "sweeps, expected",
    [
        ([param("seed", 0, 1, 2), param("head.margin", 0.3, 0.5)], [6]),
        ([param("optimizer.learning_rate", 0.1, 1), param("seed", 0, 1)], [4]),
        ([param("head.scale", 30.0, 64.0)], [2]),
        # What is no number, or turns a part of the program off, is another program.
        ([param("head.scale", 30.0, "learned", 64.0)], [2, 1]),
        ([param("optimizer.weight_decay", None, 0.1, 0.2)], [1, 2]),
        ([param("head.easy", True, False), param("seed", 0, 1)], [2, 2]),
        ([param("name", "a", "b")], [1, 1]),
        ([param("seed", *range(groups.LARGEST + 1))], [groups.LARGEST, 1]),
    ],
)
def test_trials_that_differ_in_traced_numbers_are_one_group(sweeps, expected):
    assert sizes(*sweeps) == expected
    assert set(sizes(*sweeps, mode="off")) == {1}


def test_auto_groups_where_it_pays(monkeypatch):
    seeds = param("seed", 0, 1)
    monkeypatch.setattr(groups, "pays", lambda trials: True)
    assert sizes(seeds, mode="auto") == [2]
    monkeypatch.undo()
    (trials,) = [make_trials(CONFIG | {"platform": "cpu"}, seeds)]
    assert [len(group) for group in grouped(trials)] == [1, 1]


def test_an_unknown_mode_gets_a_sentence():
    with pytest.raises(UserError, match="'maybe'"):
        grouped([], "maybe")
