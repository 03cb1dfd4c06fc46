"""Sweeps are lists made by pure functions, or written out; trials are strict."""

import pytest

from nfml_jax.errors import UserError
from nfml_jax.sweeps.inline import fields_of, is_inline, parse_sweep
from nfml_jax.sweeps.overrides import chain, make_trials, overlay, param, product, zip_

CONFIG = {
    "name": "base",
    "seed": 0,
    "flow": {"recipe": "maf", "layers": 5, "hidden": (8, 8)},
    "optimizer": {"rate": 0.1, "clip": False, "options": {}, "multipliers": {}},
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
        (lambda: make_trials(CONFIG, param("seed", 1, 2, 1)), "trial 3 of the sweep"),
        (lambda: make_trials(CONFIG, param("seed", 1, "2")), "'2' is not an integer"),
        (lambda: overlay(CONFIG, {"sed": 1}), "did you mean 'seed'"),
        (lambda: overlay(CONFIG, {"flow.layer": 1}), "did you mean 'flow.layers'"),
        (lambda: overlay(CONFIG, {"flow.layers.x": 1}), "no field 'flow.layers.x'"),
        (lambda: overlay(CONFIG, {"": 1}), "no field ''"),
        (lambda: overlay(CONFIG, {"flow.layers": 1.5}), "not an integer"),
        (lambda: overlay(CONFIG, {"flow.layers": True}), "not an integer"),
        (lambda: overlay(CONFIG, {"optimizer.rate": "x"}), "not a number"),
        (lambda: overlay(CONFIG, {"flow.recipe": 3}), "not a string"),
        (lambda: overlay(CONFIG, {"flow": "maf"}), "not a dict"),
    ],
)
def test_mistakes_get_a_sentence(make, sentence):
    with pytest.raises(UserError, match=r"^[^\n]*$") as mistake:
        make()
    assert sentence in str(mistake.value)


def test_an_override_changes_what_it_names_and_nothing_else():
    changed = overlay(CONFIG, {"optimizer.rate": 1, "flow.hidden": [4]})
    assert changed["optimizer"] == CONFIG["optimizer"] | {"rate": 1.0}
    assert changed["flow"]["hidden"] == (4,) and CONFIG["flow"]["hidden"] == (8, 8)
    section = {"recipe": "ffjord", "rtol": 1e-3}
    assert overlay(CONFIG, {"flow": section}) == {**CONFIG, "flow": section}


def test_a_field_of_any_type_takes_numbers_and_words():
    any_type = frozenset({"optimizer.rate"})
    sweep = parse_sweep("optimizer.rate=0.5,learned", CONFIG, any_type)
    assert sweep == param("optimizer.rate", 0.5, "learned")
    trials = make_trials(CONFIG, sweep, any_type)
    assert [t.config["optimizer"]["rate"] for t in trials] == [0.5, "learned"]
    for wrong in (
        lambda: parse_sweep("optimizer.rate=learned", CONFIG),
        lambda: make_trials(CONFIG, sweep),
    ):
        with pytest.raises(UserError, match="'learned' is not a number"):
            wrong()


def test_the_id_of_a_trial_depends_on_its_config_only():
    sweep = [{"data.name": "a b/c"}, {"seed": 1}]
    first, second = make_trials(CONFIG, sweep)
    assert first.config["data"]["name"] == "a b/c" and second.config["seed"] == 1
    assert first.id.startswith("a_b_c-") and "/" not in first.id
    assert first.id != second.id
    (again,) = make_trials(first.config, [{}])
    assert again.id == first.id.removeprefix("a_b_c-")
    longer = make_trials(CONFIG, param("data.name", "x" * 300))[0]
    assert len(longer.id) < 80


@pytest.mark.parametrize(
    "text, sweep",
    [
        ("seed=0:3", param("seed", 0, 1, 2)),
        ("seed=-1:1,7", param("seed", -1, 0, 7)),
        ("optimizer.rate=1e-3,1", param("optimizer.rate", 1e-3, 1.0)),
        ("optimizer.clip=true,False", param("optimizer.clip", True, False)),
        (
            "optimizer.options.b1=0.8,0.9",
            param("optimizer.options.b1", 0.8, 0.9),
        ),
        (
            "optimizer.multipliers.objective/proxies=2.0",
            param("optimizer.multipliers.objective/proxies", 2.0),
        ),
        ("data.name=moons,'a, b'", param("data.name", "moons", "a, b")),
        ("data.name=1:3,7", param("data.name", "1:3", "7")),
        ("flow.hidden=(8, 8),(4,)", param("flow.hidden", (8, 8), (4,))),
        (
            " seed=1,2   flow.layers=3:5 ",
            product(param("seed", 1, 2), param("flow.layers", 3, 4)),
        ),
    ],
)
def test_an_inline_sweep_is_a_product_of_typed_values(text, sweep):
    parsed = parse_sweep(text, CONFIG)
    assert parsed == sweep and is_inline(text)
    assert [*map(repr, parsed)] == [*map(repr, sweep)]  # 1 is not 1.0
    assert fields_of(text) == list(sweep[0])
    make_trials(CONFIG, parsed)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("sed=1", "did you mean 'seed'"),
        ("seed=", "gives seed no value in ''; write seed=VALUE"),
        ("seed=5:5", "gives seed no value"),
        ("seed=1,x", "seed = 'x' is not an integer"),
        ("seed=0.5", "is not an integer"),
        ("optimizer.rate=0.1,fast", "'fast' is not a number"),
        ("optimizer.clip=maybe", "is not true or false"),
        ("flow.hidden=8,8", "is not a tuple"),
        ("flow=maf", "no field 'flow'"),
        ("seed=1 moons", "'moons' in the sweep sets no field"),
        ("seed=1 seed=2", "'seed' and 'seed'"),
        ("  ", "the sweep is empty"),
    ],
)
def test_a_mistake_in_an_inline_sweep_gets_a_sentence(text, sentence):
    with pytest.raises(UserError, match=r"^[^\n]*$") as mistake:
        parse_sweep(text, CONFIG)
    assert sentence in str(mistake.value)


def test_a_file_is_not_an_inline_sweep():
    assert not is_inline("configs/sweeps/plane_zoo.py:rates")
