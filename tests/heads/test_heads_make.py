"""Heads from the plain values of a config."""

import pytest

from configs import mnist_2d
from nfml_jax.errors import UserError
from nfml_jax.heads import (
    MARGINS,
    Annealing,
    ArcFace,
    CombinedMargin,
    CosFace,
    SphereFace,
    TargetProbability,
    Warmup,
    make_head,
)
from tests.heads.heads_reference import numbers_of


@pytest.mark.parametrize(("name", "kind"), MARGINS.items(), ids=MARGINS)
def test_a_name_alone_gives_the_margin_with_its_defaults(name, kind):
    head = make_head(10, 64, name=name)
    assert head.margin == kind()
    assert head.strength == kind.default_strength
    assert (head.num_classes, head.scale, head.summation) == (10, None, "dense")


# Heads with options for the plane: a new head may do without.
TUNED = [name for name, options in mnist_2d.HEADS.items() if options]


@pytest.mark.parametrize("name", MARGINS)
def test_every_head_has_a_config_in_the_plane(name):
    assert mnist_2d.get_config(name).head.name == name


def test_a_new_head_has_a_config_in_the_plane(monkeypatch):
    monkeypatch.setitem(MARGINS, "mine", CosFace)
    assert mnist_2d.get_config("mine,smoke").head.to_dict() == {"name": "mine"}


@pytest.mark.parametrize("name", TUNED)
def test_ten_classes_on_a_circle_can_satisfy_the_configs_in_the_plane(name):
    config = mnist_2d.get_config(name)
    assert config.head.name == name and f"mnist_2d_{name}" in config.name
    head = make_head(10, 2, **config.head.to_dict())
    assert head.margin.feasibility(10, 2) is None
    assert head.formula() in head.words()


@pytest.mark.parametrize(("name", "kind"), MARGINS.items(), ids=MARGINS)
def test_the_margin_option_sets_the_numbers(name, kind):
    numbers = {name: 1.5 * value for name, value in numbers_of(kind()).items()}
    values = list(numbers.values())
    if numbers:
        margin = values if len(values) > 1 else values[0]
        assert make_head(10, 64, name=name, margin=margin).margin == kind(**numbers)
    else:
        with pytest.raises(UserError, match="has no margin, but got margin=1"):
            make_head(10, 64, name=name, margin=1)


def test_options_reach_the_margin_and_the_head():
    options = {"grad": "detach", "easy": True, "beyond_pi": "clamp"}
    head = make_head(10, 64, name="arcface", margin=0.3, scale=30.0, **options)
    assert head.margin == ArcFace(0.3, **options) and head.scale == 30.0
    assert make_head(10, 64, name="combined", m3=0.0).margin == CombinedMargin(m3=0.0)


@pytest.mark.parametrize(
    ("given", "scale"),
    [
        (None, None),
        (24, 24),
        (24.5, 24.5),
        ("learned", "learned"),
        ("p=0.9", TargetProbability(0.9)),
    ],
)
def test_the_scale_is_a_number_learned_or_of_a_probability(given, scale):
    assert make_head(10, 64, name="cosface", scale=given).scale == scale


def test_strength_is_a_warmup_an_annealing_or_none():
    make = lambda **given: make_head(10, 64, name="sphereface", **given).strength  # noqa: E731
    assert make() == SphereFace.default_strength == Annealing()
    assert make(annealing=False) is None
    assert make(annealing={"minimum": 0.0}) == Annealing(minimum=0.0)
    assert make(warmup_steps=5) == Warmup(5)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"name": "arcfase"},
            r"did you mean 'arcface'\?.*known are: adacos, adaface",
        ),
        ({"name": "arcface", "esy": 1}, r"option 'esy'.*did you mean 'easy'\?"),
        ({"name": "cosface", "margin": [0.1, 0.2]}, "expected one number"),
        ({"name": "combined", "margin": [1, 0, 0, 0]}, "expected 3 numbers, m1, m2"),
        ({"name": "combined", "margin": 1.2}, r"margin=1\.2; expected 3 numbers"),
        ({"name": "combined", "margin": (1.2,)}, "expected 3 numbers"),
        ({"name": "arcface", "margin": "0.5"}, "margin='0.5'; expected a number"),
        ({"name": "cosface", "scale": "much"}, "scale='much'; expected a number, 'lea"),
        ({"name": "cosface", "scale": "p=2"}, "strictly between 0 and 1"),
        ({"name": "cosface", "scale": "24"}, "scale='24'; expected a number, 'lea"),
        ({"name": "cosface", "scale": -1.0}, "expected a number above 0"),
        ({"name": "sphereface", "annealing": {"gama": 1}}, "did you mean 'gamma'"),
        ({"name": "arcface", "warmup_steps": -1}, "warmup_steps=-1; expected"),
        ({"name": "arcface", "warmup_steps": 1, "annealing": {}}, "give one of them"),
        ({"name": "arcface", "embedding_size": 1}, "embedding_size=1"),
        ({"name": "arcface", "summation": "dens"}, r"did you mean 'dense'\?"),
    ],
)
def test_unknown_names_and_invalid_values_raise_an_error(given, sentence):
    size = given.pop("embedding_size", 64)
    with pytest.raises(UserError, match=sentence):
        make_head(10, size, **given)
