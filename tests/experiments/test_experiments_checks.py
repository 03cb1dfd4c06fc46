"""Values that no run can take are refused before anything is read or trained."""

import copy
import importlib
import math

import pytest

from experiments import make_experiment
from experiments.checks import check_experiment, checked_trials
from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.sweeps.inline import parse_sweep
from nfml_jax.sweeps.overrides import Trial, make_trials, param

CONFIGS = ("plane", "arcface_mnist", "mnist_losses", "metric_vectors", "folder")
CONFIGS += ("million_identities", "omniglot", "lfw", "variational")
# What no field takes, whatever it is for.
NEVER = (math.nan, math.inf, -math.inf, {"a": 1})
# Fields of texts and lists, which a loader checks when it finds the files.
LATER = ("data.classes", "data.held_out", "data.labels", "data.image_size")
# What a number, a count, a flag and a name cannot be.
NO_NUMBER = ("text", None, [], True, -1, 10**10)
WRONG = {
    int: (*NO_NUMBER, 1.5),
    float: ("text", [], True, -1e30),
    bool: ("false", None, [], 2),
    str: ([], 3.5, -1),
    tuple: ("text", 64, [0.5]),
    type(None): ([], True, -1, -1e30, ""),  # where None is off
}
# Of some a value of this kind has a meaning.
MEANINGS = {
    "cpu_devices": (None,),
    "train.accumulate": (None,),
    "train.batch_size": (None,),
    "data.max_train": (None, 10**10),
    "data.max_test": (None, 10**10),
    "head.scale": (3.5,),
    **dict.fromkeys(("cpu_devices", "train.accumulate"), (None,)),
    **dict.fromkeys(("sampler.per_class", "annealing.steps"), (None,)),
    "loss.normalize": (None,),
    "objective.alpha": (-1e30,),  # read by alpha_divergence alone
    "data.validation": (10**10, True),
}


def config_of(name):
    return importlib.import_module(f"configs.{name}").get_config("smoke").to_dict()


def changed(config, field, value):
    config = copy.deepcopy(config)
    *path, last = field.split(".")
    section = config
    for part in path:
        section = section[part]
    section[last] = value
    return config


@pytest.mark.parametrize("name", CONFIGS)
def test_hostile_values_are_one_sentence(name):
    config = config_of(name)
    check_experiment(config)
    accepted = []
    for field, value in flatten(config).items():
        if field in LATER or field.startswith("flow."):
            continue
        for hostile in NEVER + WRONG[type(value)]:
            try:
                check_experiment(changed(config, field, hostile))
                accepted.append((field, hostile))
            except UserError as problem:
                assert "\n" not in str(problem), field
    meant = [
        (field, value)
        for field, value in accepted
        if value not in MEANINGS.get(field, ())
        and not (field.startswith("data.") and value is None)  # not given
    ]
    assert not meant, "give these fields a check in their settings"


def test_a_section_of_another_kind_is_one_sentence():
    wrong = {"train": [], "optimizer": None, "encoder": "cnn", "head": 3, "augment": 0}
    for section, value in wrong.items():
        config = config_of("arcface_mnist") | {section: value}
        with pytest.raises(UserError, match=section):
            check_experiment(config)
    for field in ("train.total", "optimizer.warmup", "seed"):
        config = config_of("plane")
        section, _, last = field.rpartition(".")
        del (config[section] if section else config)[last]
        with pytest.raises(UserError, match=f"no field '{field}'"):
            make_experiment(config)


@pytest.mark.parametrize(
    "field, value",
    [
        ("head.margin", math.inf),
        ("encoder.embedding_size", 10**9),
        ("encoder.features", ()),
        ("train.total", "6 stepps"),
        ("optimizer.name", "adm"),
        ("optimizer.options", {"bb2": 0.9}),
        ("data.name", "mnits"),
        ("experiment", "margn"),
        ("augment.shift", -1.0),
    ],
)
def test_a_sweep_names_the_first_trial_that_cannot_run(field, value):
    config = config_of("arcface_mnist")
    bad = Trial({field: value}, changed(config, field, value))
    with pytest.raises(
        UserError, match=rf"trial 2 of the sweep \({field}=.*cannot run"
    ):
        checked_trials([Trial({}, config), bad])


def test_a_sweep_has_no_more_trials_than_can_be_listed():
    config = config_of("plane")
    checked_trials(make_trials(config, param("seed", 0, 1)))
    for text in ("seed=0:99999999999", "seed=0:1000 data.seed=0:1000"):
        with pytest.raises(UserError, match="at most 100,000"):
            parse_sweep(text, config)
