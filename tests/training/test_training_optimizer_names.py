"""The names of optimizers, and the options that each takes."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nfml_jax.errors import UserError
from nfml_jax.training.optimizer_names import known_options, optimizers
from nfml_jax.training.optimizers import (
    OPTIMIZERS,
    make_optimizer,
)
from nfml_jax.training.settings import OptimizerSettings
from tests.training.test_training_optimizers import CONSTANT, OF_OPTAX, updates_of


def test_options_are_those_of_the_function():
    assert known_options("adam").keys() >= {"b1", "b2", "eps", "nesterov"}
    assert known_options("adamw").keys().isdisjoint({"weight_decay", "mask"})
    grads = {"w": jnp.array([1.0, -2.0])}
    slow = make_optimizer(CONSTANT, OptimizerSettings(options={"eps": 1e3}))
    assert abs(updates_of(slow, grads, grads)["w"]).max() < 1e-2
    ours = make_optimizer(
        CONSTANT, OptimizerSettings(name="adamw", options={"b2": 0.9})
    )
    theirs = optax.adamw(1.0, b2=0.9, weight_decay=0.0)
    np.testing.assert_allclose(
        updates_of(ours, grads, grads)["w"], updates_of(theirs, grads, grads)["w"]
    )


@pytest.mark.parametrize(
    "name, options, sentence",
    [
        ("adm", {}, "did you mean 'adam'"),
        (
            "adam",
            {"bb2": 0.9},
            r"no option 'bb2' \(did you mean 'b2'\?\); its",
        ),
        ("schedule_free_adamw", {"weight_lr_pow": 1}, "mean 'weight_lr_power'"),
        ("adamw", {"weight_decay": 0.1}, "set optimizer.weight_decay"),
        ("muon", {"weight_decay_mask": None}, "set optimizer.decay"),
        ("adam", {"learning_rate": 0.1}, "set optimizer.learning_rate"),
        ("adam", {"b1": 1.0}, r"b1=1.0; expected a number in \[0, 1\)"),
        ("schedule_free_sgd", {"b1": 0.0}, "b1=0.0; expected a number"),
        ("adam", {"b2": "big"}, "b2='big'; expected a number"),
        ("adam", {"nesterov": 1}, "expected True or False"),
        ("adam", {"mu_dtype": "floa16"}, "options .data type 'floa16'"),
        ("lbfgs", {}, "more than gradients and parameters"),
        ("polyak_sgd", {}, "more than gradients and parameters"),
        ("momo_adam", {}, "more than gradients and parameters"),
        ("sophia", {}, "more than gradients and parameters"),
        ("sm3", {}, "cannot be made with this schedule"),
        ("rprop", {}, "cannot be made with this schedule"),
    ],
)
def test_invalid_options_of_an_optimizer_get_a_sentence(name, options, sentence):
    with pytest.raises(UserError, match=sentence):
        make_optimizer(CONSTANT, OptimizerSettings(name=name, options=options))


def test_every_optimizer_of_optax_is_made_or_refused_in_a_sentence():
    assert len(optimizers()) > 45
    refused = set()
    for name in optimizers():
        try:
            make_optimizer(CONSTANT, OptimizerSettings(name=name))
        except UserError:
            refused.add(name)
    assert len(refused) < 12 and refused.isdisjoint({*OF_OPTAX, *OPTIMIZERS})


@pytest.mark.parametrize(
    "section, sentence",
    [
        ({"weight_decay": -1.0}, "optimizer.weight_decay=-1.0"),
        ({"clip_norm": -1.0}, "optimizer.clip_norm=-1.0"),
        ({"multipliers": {"head": 0.0}}, "optimizer.multipliers.head=0.0"),
        ({"multipliers": 3.0}, "optimizer.multipliers=3.0"),
        ({"options": [1]}, "optimizer.options"),
        ({"decay": "kernel"}, "optimizer.decay='kernel'; expected a tuple of texts"),
        (
            {"name": "prodigy", "weight_decay": 0.1},
            "'prodigy' decays all parameters or none",
        ),
        (
            {"name": "schedule_free_sgd", "multipliers": {"head": 2.0}},
            "one learning rate for all",
        ),
    ],
)
def test_a_section_that_does_not_fit_is_a_sentence(section, sentence):
    with pytest.raises(UserError, match=sentence):
        make_optimizer(CONSTANT, OptimizerSettings(**section))
