"""The masks of MADE and ResMADE: dependencies where the structure has them only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.nets.made import MADE, ResMADE

# A graph whose coordinates are neither sorted nor in one chain.
GRAPH = np.zeros((5, 5), bool)
for child, parent in ((0, 3), (0, 4), (1, 4), (2, 0), (2, 1)):
    GRAPH[child, parent] = True

SHUFFLED = (2, 0, 4, 1, 3)


def reachable(order):
    rank = np.argsort(order)
    return rank[:, None] > rank


STRUCTURES = {
    "natural": ({}, np.tril(np.ones((5, 5), bool), -1)),
    "reverse": ({"order": "reverse"}, np.triu(np.ones((5, 5), bool), 1)),
    "permuted": ({"order": SHUFFLED}, reachable(SHUFFLED)),
    "graph": ({"adjacency": GRAPH}, GRAPH),
    "random": ({"order": SHUFFLED, "seed": 3}, reachable(SHUFFLED)),
    "independent": ({"adjacency": np.zeros((5, 5), bool)}, np.zeros((5, 5), bool)),
}
# Smooth activations: where a derivative is zero there is no path.
NETS = {
    "made": lambda **options: MADE(hidden=(9, 7), activation=jnp.tanh, **options),
    "resmade": lambda **options: ResMADE(
        hidden=8, blocks=2, activation=jnp.tanh, **options
    ),
}


def drawn(made, x, context, num_params, spread=0.5):
    """Variables drawn by numpy, which compiles nothing."""
    init = lambda x, c: made.init(jax.random.key(0), x, c, num_params)  # noqa: E731
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(spread * rng.normal(size=p.shape), p.dtype),
        jax.eval_shape(init, x, context),
    )


@pytest.mark.parametrize(
    "structure, conditional",
    [("permuted", False), ("independent", False), *((s, True) for s in STRUCTURES)],
)
@pytest.mark.parametrize("net", NETS)
def test_dependencies_are_exactly_those_of_the_structure(net, structure, conditional):
    options, expected = STRUCTURES[structure]
    made = NETS[net](**options)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=5), jnp.float32)
    context = jnp.asarray(rng.normal(size=2), jnp.float32)

    variables = drawn(made, x, context, 3)

    @jax.jit
    def dependencies(variables, x, context):
        network = lambda x, context: made.apply(variables, x, context, 3)  # noqa: E731
        given = (0, 1) if conditional else (0,)
        of_x, *of_context = jax.jacfwd(network, given)(x, context)
        return jnp.abs(of_x).min(1), jnp.abs(of_x).max(1), of_context

    least, most, of_context = dependencies(variables, x, context)
    np.testing.assert_array_equal(most[~expected], 0)
    assert (least[expected] > 0).all()
    assert all((jacobian != 0).all() for jacobian in of_context)


@pytest.mark.parametrize("net", NETS)
def test_parameters_of_one_coordinate_depend_on_the_context_only(net):
    made = NETS[net]()
    x, context = jnp.array([[0.3], [-2.0]]), jnp.array([[1.0, 2.0]])

    def evaluate(context):
        variables = drawn(made, x, context, 3)
        return jax.jit(made.apply, static_argnums=3)(variables, x, context, 3)

    alone, given, other = (evaluate(c) for c in (None, context, context + 1))
    for raw in (alone, given, other):
        assert raw.shape == (2, 1, 3)
        np.testing.assert_array_equal(raw[0], raw[1])
        assert (raw != 0).all()
    assert (given != other).all()


@pytest.mark.parametrize("net", NETS)
def test_drawing_step_by_step_agrees_with_one_evaluation(net):
    """For chains and graphs, with dropout, any block, and context of another batch."""
    made = NETS[net](adjacency=GRAPH, dropout=0.5)
    rng = np.random.default_rng(1)
    y = jnp.asarray(rng.normal(size=(2, 3, 5)), jnp.float32)
    context = jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)

    variables = drawn(made, y, context, 2, 0.3)

    @jax.jit
    def gap(variables):
        network, layers = made.apply(
            variables,
            y,
            context,
            2,
            method="network",
            rngs={"dropout": jax.random.key(0)},
        )

        def scalar(raw, y):
            return y * jnp.exp(raw[..., 0]) + raw[..., 1]

        def once(sweep, start):
            return sweep(start)

        drawn = [network.draw(layers, y, scalar, once, block) for block in (1, 2)]
        return [x - scalar(network(layers, x), y) for x in drawn]

    for difference in gap(variables):
        np.testing.assert_allclose(difference, 0, atol=1e-5)


def test_output_starts_at_zero_in_the_precision_of_the_network():
    made, x = MADE(hidden=(8,), dtype=jnp.bfloat16), jnp.ones((2, 5))
    init = jax.jit(made.init_with_output, static_argnums=(2, 3))
    raw, variables = init(jax.random.key(0), x, None, 2)
    assert raw.dtype == jnp.bfloat16 and (raw == 0).all()
    assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "options, events, says",
    [
        ({"order": (0, 1)}, 3, "each of their numbers from 0 once"),
        ({"order": "backwards"}, 3, "order='backwards'"),
        ({"adjacency": np.eye(3)}, 3, r"coordinates \[0, 1, 2\] depend on themselves"),
        ({"adjacency": np.zeros((2, 2))}, 3, r"shape \[2, 2\]"),
        ({"adjacency": np.zeros((3, 3)), "order": "reverse"}, 3, "or an order"),
        ({"hidden": (4,)}, 9, "4 units for 8 different sets"),
        ({}, 0, "events of one coordinate"),
    ],
)
def test_invalid_structures_raise_one_sentence(options, events, says):
    with pytest.raises(UserError, match=says):
        MADE(**options).init(jax.random.key(0), jnp.zeros((2, events)), None, 2)
