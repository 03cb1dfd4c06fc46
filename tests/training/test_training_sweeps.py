"""Sweeps are lists made by pure functions; trials are strict, named and resumable."""

import json
from types import SimpleNamespace

import pytest

from nfml_jax import results
from nfml_jax.errors import UserError
from nfml_jax.training import trials as running
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.sweeps import chain, make_trials, overlay, param, product, zip_

CONFIG = {
    "name": "base",
    "seed": 0,
    "flow": {"recipe": "maf", "layers": 5, "hidden": (8, 8)},
    "optimizer": {"rate": 0.1, "clip": False},
    "data": {"name": "moons"},
}
A, B = param("a", 1, 2), param("b", 3, 4)


def test_the_four_functions():
    assert A == [{"a": 1}, {"a": 2}]
    assert zip_(A, B) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert chain(A, B) == [{"a": 1}, {"a": 2}, {"b": 3}, {"b": 4}]
    both = [{"a": a, "b": b} for a in (1, 2) for b in (3, 4)]
    assert product(A, B) == both
    # product and chain are associative, have units, and one distributes over the other.
    c = param("c", 5, 6)
    assert product(product(A, B), c) == product(A, product(B, c)) == product(A, B, c)
    assert product(A) == chain(A) == zip_(A) == A == product(A, [{}]) == chain(A, [])
    assert product(chain(A, B), c) == chain(product(A, c), product(B, c))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: zip_(A, param("b", 1)), "2, 1 trials"),
        (lambda: product(A, param("a", 3)), "'a' and 'a'"),
        (lambda: product(param("flow", {}), param("flow.layers", 3)), "'flow.layers'"),
        (lambda: zip_(param("flow.layers", 3), param("flow", {})), "'flow.layers'"),
        (lambda: make_trials(CONFIG, []), "no trials"),
        (lambda: make_trials(CONFIG, {"seed": 1}), "expected a list"),
        (lambda: make_trials(CONFIG, [3]), "expected a list"),
        (lambda: overlay(CONFIG, {"sed": 1}), "did you mean 'seed'"),
        (lambda: overlay(CONFIG, {"flow.layer": 1}), "did you mean 'flow.layers'"),
        (lambda: overlay(CONFIG, {"flow.layers.x": 1}), "no field 'flow.layers.x'"),
        (lambda: overlay(CONFIG, {"": 1}), "no field ''"),
        (lambda: overlay(CONFIG, {"flow.layers": 1.5}), "not a whole number"),
        (lambda: overlay(CONFIG, {"flow.layers": True}), "not a whole number"),
        (lambda: overlay(CONFIG, {"optimizer.rate": "x"}), "not a number"),
        (lambda: overlay(CONFIG, {"flow.recipe": None}), "not a string"),
        (lambda: overlay(CONFIG, {"flow": "maf"}), "not a dict"),
    ],
)
def test_mistakes_get_a_sentence(make, sentence):
    with pytest.raises(UserError, match=r"^[^\n]*$") as mistake:
        make()
    assert sentence in str(mistake.value)


def test_an_override_changes_what_it_names_and_nothing_else():
    changed = overlay(CONFIG, {"optimizer.rate": 1, "flow.hidden": [4]})
    assert changed["optimizer"] == {"rate": 1.0, "clip": False}
    assert changed["flow"]["hidden"] == (4,) and CONFIG["flow"]["hidden"] == (8, 8)
    section = {"recipe": "ffjord", "rtol": 1e-3}
    assert overlay(CONFIG, {"flow": section}) == {**CONFIG, "flow": section}


def test_a_trial_s_id_is_its_config_s():
    sweep = [{"data.name": "a b/c"}, {"data.name": "a b/c", "seed": 0}, {"seed": 1}]
    first, second = make_trials(CONFIG, sweep)
    assert first.config["data"]["name"] == "a b/c" and second.config["seed"] == 1
    assert first.id.startswith("a_b_c-") and "/" not in first.id
    assert first.id != second.id
    (again,) = make_trials(first.config, [{}])
    assert again.id == first.id.removeprefix("a_b_c-")
    longer = make_trials(CONFIG, param("data.name", "x" * 300))[0]
    assert len(longer.id) < 80


def pretend(make_experiment, config, workdir, *, terminal):
    """A run that ends as its rate says."""
    how = {0.1: "done", 0.2: "diverged", 0.3: "failed", 0.4: "interrupted"}
    how = how[config["optimizer"]["rate"]]
    make_experiment(config)
    with RunDirectory(workdir, config) as directory:
        directory.begin()
        if how == "failed":
            raise ValueError("a reason\nand more")
        directory.status(how, error="a culprit")
        if how == "done":
            result = {"name": "x", "seed": config["seed"], "config": config}
            more = {"data": {"name": "moons"}, "metrics": {"m": 1.0}, "wall_s": 2.0}
            directory.write("result.json", result | more)
        terminal.note("said")


def test_one_bad_trial_stops_no_other_and_what_is_final_is_not_run_again(
    tmp_path, monkeypatch
):
    ran, said = [], []
    monkeypatch.setattr(running, "train_and_evaluate", pretend)
    monkeypatch.setattr(running, "_keep_compiled", lambda folder: None)
    terminal = SimpleNamespace(note=said.append)

    def run(*rates):
        trials = make_trials(CONFIG, param("optimizer.rate", *rates))
        return running.run_trials(ran.append, trials, tmp_path, terminal=terminal)

    assert run(0.2, 0.3, 0.1) == {"diverged": 1, "failed": 1, "done": 1}
    records = results.find_results([tmp_path])
    assert [r["status"] for r in records] == ["diverged", "failed", "done"]
    assert [r.get("error") for r in records] == ["a culprit", "a reason", None]
    assert any("a culprit" in line for line in said)
    logs = sorted(tmp_path.glob("*/terminal.txt"))
    assert len(logs) == 3 and "Traceback" in "".join(log.read_text() for log in logs)
    assert len(ran) == 3
    # Only what failed is tried again; after a wish to stop nothing follows.
    assert run(0.2, 0.3, 0.1, 0.4, 0.1) == {
        "diverged": 1,
        "failed": 1,
        "done": 1,
        "interrupted": 1,
    }
    assert [config["optimizer"]["rate"] for config in ran[3:]] == [0.3, 0.4]
    lines = (tmp_path / results.RESULTS_FILE).read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines][-1] == "interrupted"
