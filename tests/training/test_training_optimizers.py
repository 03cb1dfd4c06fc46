"""Optimizers by name: those of optax and the library's, decay and rates by path."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nfml_jax import flows
from nfml_jax.errors import UserError
from nfml_jax.losses import make_loss
from nfml_jax.ops.devices import SPLIT
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.optimizers import (
    OPTIMIZERS,
    check_shares,
    evaluation_params,
    make_optimizer,
)
from nfml_jax.training.parameter_patterns import check_patterns, matches
from nfml_jax.training.randomness import root_key
from nfml_jax.training.schedules import make_schedule
from nfml_jax.training.settings import DECAYED, OptimizerSettings
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import make_mesh, norm, replicate
from nfml_jax.training.step import init_state, make_dispatch, make_step
from tests.slow import slow, slow_but
from tests.training.regression import Regression, config

OF_OPTAX = (
    *("adabelief", "adadelta", "adafactor", "adagrad", "adamax", "adamw", "adan"),
    *("amsgrad", "dadapt_adamw", "dog", "lars", "madgrad", "muon", "nadam", "nadamw"),
    *("novograd", "prodigy", "radam", "schedule_free_adamw", "schedule_free_sgd"),
    *("signum", "yogi"),
)
RATES = {"adadelta": 30.0, "lars": 30.0, "schedule_free_sgd": 0.05}
RATES |= dict.fromkeys(("dadapt_adamw", "dog", "prodigy"), 1.0)
CONSTANT = make_schedule("constant", 1.0, steps=10)


def updates_of(optimizer, params, grads=None):
    grads = jax.tree.map(jnp.zeros_like, params) if grads is None else grads
    return optimizer.update(grads, optimizer.init(params), params)[0]


# Their updates are optax's own, of one number at a time, as those of others.
ELEMENTWISE = (
    *("adabelief", "adagrad", "adamax", "amsgrad", "nadamw", "radam", "yogi"),
    *("signum", "madgrad", "schedule_free_sgd", "nadam", "adadelta", "adan"),
)


@pytest.mark.parametrize("name", slow([*OPTIMIZERS, *OF_OPTAX], ELEMENTWISE))
def test_optimizers_descend_in_a_step_of_devices(name):
    """The step is mapped over a mesh, where JAX follows what varies."""
    rate = RATES.get(name, 0.02)
    optimizer = make_optimizer(
        make_schedule("constant", rate, steps=100), OptimizerSettings(name=name)
    )
    wanted = jnp.array([[1.0, -2.0], [0.5, 3.0]])

    def loss(params, collections, batch, step):
        (x,) = batch.data
        error = (x.mean() * params["head"]["kernel"] - wanted) ** 2
        return error.sum() + (params["head"]["bias"] ** 2).sum(), (collections, {})

    head = {"kernel": 0.1 * jnp.ones((2, 2)), "bias": jnp.ones(2)}
    state = init_state({"params": {"head": head}}, optimizer, average=False)
    mesh = make_mesh(jax.devices()[:1])
    state = replicate(state, mesh)

    def take(resident, chunk, at):
        return (resident,), jnp.arange(2)

    step = make_step(loss, optimizer, key=root_key(0))
    dispatch = make_dispatch(step, take, mesh, most=40)
    resident = replicate(jnp.ones((2, 1)), mesh)
    state, metrics = dispatch(state, np.int32(40), jnp.zeros(()), resident)
    losses = metrics["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    free = evaluation_params(state.optimizer, state.params)
    assert (free is not None) == name.startswith("schedule_free")
    if free is not None:
        evaluated = state.variables()["params"]
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
            *(evaluated, free),
        )
        assert not np.allclose(evaluated["head"]["bias"], state.params["head"]["bias"])


def earlier_chain(name, schedule, momentum, weight_decay, clip_norm, multiplier):
    """The chain of version 0, in which momentum was each optimizer's only option."""

    def clip(grads, params=None):
        length = norm(grads)
        return jax.tree.map(
            lambda g: jnp.where(length < clip_norm, g, g / length * clip_norm), grads
        )

    def trust(update, param):
        lengths = norm(param), norm(update)
        ratio = lengths[0] / jnp.where(lengths[1] == 0.0, 1.0, lengths[1])
        return update * jnp.where(lengths[0] * lengths[1] == 0.0, 1.0, ratio)

    ratio = optax.stateless(lambda updates, p: jax.tree.map(trust, updates, p))
    adam = optax.scale_by_adam(b1=momentum)
    direction = {
        "sgd": optax.trace(momentum),
        "sgd_bfloat16": optax.trace(momentum, accumulator_dtype=jnp.bfloat16),
        "nesterov": optax.trace(momentum, nesterov=True),
        "adam": adam,
        "lamb": optax.chain(adam, ratio),
        "rmsprop": optax.chain(optax.scale_by_rms(), optax.trace(momentum)),
        "lion": optax.scale_by_lion(b1=momentum),
    }[name]
    parts = [optax.stateless(clip)] if clip_norm else []
    parts.append(direction)
    if weight_decay:

        def decayed(params):
            return {k: {n: n == "kernel" for n in v} for k, v in params.items()}

        parts.append(optax.add_decayed_weights(weight_decay, mask=decayed))
    parts.append(optax.scale_by_learning_rate(schedule))
    if multiplier != 1.0:

        def head(params):
            return {k: dict.fromkeys(v, k == "head") for k, v in params.items()}

        parts.append(optax.masked(optax.scale(multiplier), head))
    return optax.chain(*parts)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "section",
    [
        pytest.param(
            {
                "momentum": 0.9,
                "weight_decay": 0.0,
                "clip_norm": 0.0,
                "head_multiplier": 1,
            },
            marks=pytest.mark.slow,  # a part of the other
        ),
        {"momentum": 0.7, "weight_decay": 0.1, "clip_norm": 1.0, "head_multiplier": 10},
    ],
)
def test_an_earlier_config_trains_to_the_bit_as_it_did(name, section):
    schedule = make_schedule("cosine", 0.03, steps=12, warmup_steps=3)
    earlier = earlier_chain(name, schedule, *section.values())
    now = up_to_date({"optimizer": {"name": name, **section}})["optimizer"]
    optimizer = make_optimizer(schedule, OptimizerSettings(**now))
    keys = iter(jax.random.split(jax.random.key(0), 20))
    params = {
        part: {
            "kernel": jax.random.normal(next(keys), (3, 4)),
            "bias": jax.random.normal(next(keys), (4,)),
        }
        for part in ("encoder", "head")
    }
    ends = []
    for one in (earlier, optimizer):

        @jax.jit
        def step(params, state, one=one):
            grads = jax.tree.map(lambda p: jnp.sin(3 * p) + p, params)
            updates, state = one.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        end, state = params, one.init(params)
        for _ in range(6):
            end, state = step(end, state)
        ends.append((end, state))
    # Checkpoints keep the state by its paths, so they are the same, too.
    paths = [jax.tree_util.tree_structure(end) for end in ends]
    assert paths[0] == paths[1]
    jax.tree.map(np.testing.assert_array_equal, *ends)


def test_the_head_has_a_rate_of_its_own_and_biases_do_not_decay():
    params = {
        "encoder": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
        "head": {SPLIT + "weights": jnp.ones((2, 2))},
    }
    schedule = make_schedule("constant", 0.1, steps=10)
    section = {"weight_decay": 0.5, "multipliers": {"head": 10.0}}
    for name in ("sgd", "adamw", "nadam", "muon"):
        optimizer = make_optimizer(schedule, OptimizerSettings(name=name, **section))
        updates = updates_of(optimizer, params)
        np.testing.assert_allclose(updates["encoder"]["kernel"], -0.05, rtol=1e-6)
        np.testing.assert_allclose(updates["encoder"]["bias"], 0.0)
        weights = updates["head"][SPLIT + "weights"]
        np.testing.assert_allclose(weights, -0.5, rtol=1e-6)


def test_proxies_have_a_rate_of_their_own():
    loss = make_loss(4, 3, name="proxy_anchor")
    given = jax.random.key(0), jnp.ones((2, 3)), jnp.arange(2)
    shapes = jax.eval_shape(loss.init, *given)["params"]
    proxies = jax.tree.map(lambda of: jnp.ones(of.shape, of.dtype), shapes)
    params = {"encoder": {"kernel": jnp.ones((2, 3))}, "objective": proxies}
    multipliers = {"objective/proxies": 100.0, "head": 1.0}
    check_patterns(params, OptimizerSettings(decay=DECAYED, multipliers=multipliers))
    optimizer = make_optimizer(
        CONSTANT,
        OptimizerSettings(
            name="sgd", multipliers=multipliers, options={"momentum": 0.0}
        ),
    )
    updates = updates_of(optimizer, params, jax.tree.map(jnp.ones_like, params))
    np.testing.assert_allclose(updates["objective"]["proxies"], -100.0)
    np.testing.assert_allclose(updates["encoder"]["kernel"], -1.0)


def stacked():
    flow = flows.maf(event_dim=3, layers=2, hidden=(4,))
    shapes = jax.eval_shape(flow.init, jax.random.key(0), jnp.zeros((2, 3)))
    params = jax.tree.map(lambda of: jnp.ones(of.shape, of.dtype), shapes["params"])
    assert min(b.ndim for b in jax.tree.leaves(params)) == 2  # stacked biases
    return params


def values_by_name(updates):
    values = {}
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
        name = path[-1].key.split("_")[0]
        values.setdefault(name, set()).update(np.unique(update).tolist())
    return values


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_biases_and_scales_of_stacked_layers_do_not_decay(name):
    params = stacked()
    optimizer = make_optimizer(CONSTANT, OptimizerSettings(name=name, weight_decay=0.5))
    decayed = values_by_name(updates_of(optimizer, params))
    assert decayed.pop("kernel") == {-0.5}
    assert decayed and set.union(*decayed.values()) == {0.0}


def test_decay_and_learning_rates_are_chosen_by_path():
    params = stacked()
    optimizer = make_optimizer(
        CONSTANT,
        OptimizerSettings(
            name="sgd",
            weight_decay=0.5,
            decay=("bias*",),
            multipliers={"*/*/*/*/log_scale": 2.0, "bias_0": 4.0},
        ),
    )
    decayed = values_by_name(updates_of(optimizer, params))
    assert decayed["kernel"] == {0.0} and decayed["bias"] <= {-0.5, -2.0}


def test_muon_takes_no_stack_of_biases_for_a_matrix():
    params = stacked()
    grads = jax.tree.map(lambda p: jnp.arange(1.0, p.size + 1).reshape(p.shape), params)
    options = {"ns_steps": 8, "preconditioning": "schatten"}
    optimizer = make_optimizer(
        CONSTANT, OptimizerSettings(name="muon", options=options)
    )
    adam = updates_of(
        make_optimizer(CONSTANT, OptimizerSettings(name="nadam")), params, grads
    )
    muon = updates_of(optimizer, params, grads)
    for path, update in jax.tree_util.tree_leaves_with_path(muon):
        other = adam
        for key in path:
            other = other[key.key]
        is_kernel = matches([key.key for key in path], "kernel*")
        assert np.allclose(update, other, rtol=1e-3) != is_kernel


def test_a_pattern_without_a_parameter_is_a_mistake():
    params = {"encoder": {"kernel": 0}, "objective": {"proxies": 0}}
    check_patterns(params, OptimizerSettings(decay=DECAYED, multipliers={"head": 1.0}))
    check_patterns(
        params, OptimizerSettings(decay=("encoder",), multipliers={"kernel": 2.0})
    )
    with pytest.raises(UserError, match="'objective/proxy', which matches no"):
        check_patterns(
            params, OptimizerSettings(decay=(), multipliers={"objective/proxy": 2.0})
        )
    with pytest.raises(UserError, match=r"the pattern .*did you mean 'kernel"):
        check_patterns(params, OptimizerSettings(decay=("kernal",), multipliers={}))
    section = {"multipliers": {"hed": 2.0}}
    changed = config(optimizer=config()["optimizer"] | section)
    with pytest.raises(UserError, match="did you mean 'head'"):
        Setup(Regression, changed, jax.devices()[:1])


def test_clipping_bounds_the_gradient():
    optimizer = make_optimizer(CONSTANT, OptimizerSettings(name="sgd", clip_norm=2.0))
    params = {"encoder": jnp.zeros(4)}
    updates = updates_of(optimizer, params, {"encoder": jnp.full(4, 10.0)})
    assert optax.tree.norm(updates) == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["muon", "novograd", "adafactor", "prodigy", "dog"])
def test_whole_parameters_are_not_shared_by_devices(name):
    with pytest.raises(UserError, match=f"'{name}' needs whole parameters"):
        check_shares(CONSTANT, OptimizerSettings(name=name))


@pytest.mark.parametrize("name", ["lamb", "adamw", "schedule_free_adamw", "signum"])
def test_numbers_updated_one_by_one_may_be_shared(name):
    check_shares(CONSTANT, OptimizerSettings(name=name, clip_norm=1.0))


@pytest.mark.parametrize(
    "name", slow_but(["schedule_free_adamw", "muon"], ["schedule_free_adamw"])
)
def test_resumed_is_uninterrupted(name, tmp_path):
    changes = {"optimizer__name": name, "optimizer__options": {"eps": 1e-6}}
    settings = config(**changes)
    cut = functools.partial(Regression, signal_at=2)
    assert train_and_evaluate(cut, settings, tmp_path / "cut").status == "interrupted"
    outcomes = [
        train_and_evaluate(Regression, settings, tmp_path / where)
        for where in ("cut", "whole")
    ]
    first, second = (outcome.result["metrics"] for outcome in outcomes)
    assert first["test/error"] == second["test/error"]
    models = []
    for where in ("cut", "whole"):
        with Checkpoints(tmp_path / where / "checkpoints") as checkpoints:
            models.append(checkpoints.restore_model()[0])
    jax.tree.map(np.testing.assert_array_equal, *models)


def test_a_schedule_free_optimizer_averages_by_itself():
    changes = {"optimizer__name": "schedule_free_sgd", "train__average_decay": 0.9}
    with pytest.raises(UserError, match=r"set train\.average_decay = None"):
        Setup(Regression, config(**changes), jax.devices()[:1])


def test_an_earlier_section_becomes_one_of_today():
    earlier = {"name": "sgd", "momentum": 0.8, "head_multiplier": 10.0}
    now = up_to_date({"optimizer": earlier})["optimizer"]
    assert now == {
        "name": "sgd",
        "options": {"momentum": 0.8},
        "multipliers": {"head": 10.0},
        "decay": list(DECAYED),
    }
    assert up_to_date({"optimizer": now})["optimizer"] == now
