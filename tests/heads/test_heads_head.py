"""Laws of the margin head, over every margin in the table."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from heads_reference import loss_of, name_of, neutral

from nfml_jax.errors import UserError
from nfml_jax.heads import (
    MARGINS,
    Annealing,
    ArcFace,
    CosFace,
    LSoftmax,
    MarginHead,
    Softmax,
    SphereFace,
    SphereFaceR,
    TargetProbability,
    Warmup,
)

every_kind = pytest.mark.parametrize("kind", MARGINS.values(), ids=MARGINS)
# A head sees no more of a margin's options than φ and its slope, which have laws of
# their own in test_heads_margins.py.
PLAIN = [kind() for kind in MARGINS.values()]
every_plain_margin = pytest.mark.parametrize("margin", PLAIN, ids=name_of)
B, C, D = 6, 5, 4


@functools.cache
def example():
    """Embeddings of both sides of every margin's bends, weights, bias and labels."""
    rng = np.random.default_rng(1)
    x, weights = 2 * rng.normal(size=(B, D)), rng.normal(size=(C, D))
    labels = np.array([0, 1, 2, 3, 4, 0])
    x[1] = weights[1] + 0.1 * rng.normal(size=D)
    x[2] = -weights[2] + 0.2 * rng.normal(size=D)
    return x, weights, rng.normal(size=C), labels


def variables_of(margin, dtype=np.float32):
    _, weights, bias, _ = example()
    params = {"weights": weights.astype(dtype)}
    if margin.bias:
        params["bias"] = bias.astype(dtype)
    return {"params": params}


def head_of(margin, **fields):
    fields.setdefault("scale", 8.0 if margin.normalise_embeddings else None)
    return MarginHead(num_classes=C, margin=margin, **fields)


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def of_every(margins, function, *arguments):
    """`function(margin, *arguments)` of each margin, from one program: one compile."""
    together = jax.jit(lambda *a: [function(margin, *a) for margin in margins])
    results = jax.device_get(together(*arguments))
    return dict(zip(map(name_of, margins), results, strict=True))


@functools.cache
def losses(dtype):
    x, _, _, labels = example()

    def loss(margin, x):
        return head_of(margin).apply(variables_of(margin, dtype), x, labels).loss

    with jax.enable_x64(dtype == np.float64):
        return of_every(PLAIN, loss, x.astype(dtype))


@every_plain_margin
def test_loss_is_the_papers_loss(margin):
    x, weights, bias, labels = example()
    expected = loss_of(margin, x, weights, bias if margin.bias else None, labels, 8.0)
    for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-12)):
        loss = losses(dtype)[name_of(margin)]
        np.testing.assert_allclose(loss, expected, rtol=tolerance, atol=tolerance)
        assert loss.dtype == dtype


@functools.cache
def at_the_edges():
    """Losses and gradients with the weight of the right class whole, and zero."""
    factors = np.array([3.0, -3.0, 0.0, 1e-9, 1 / 3, 1e4], np.float32)
    x = factors[:, None] * example()[1][0].astype(np.float32)

    def both(margin, x):
        def loss(variables, x):
            out = head_of(margin).apply(variables, x, np.zeros(B, int))
            return out.loss.sum(), out.loss

        def with_weight(factor):
            params = dict(variables_of(margin)["params"])
            params["weights"] = jnp.asarray(params["weights"]).at[0].multiply(factor)
            return jax.grad(loss, (0, 1), has_aux=True)({"params": params}, x)

        return jax.vmap(with_weight)(jnp.array([1.0, 0.0]))

    return of_every(PLAIN, both, x)


@every_plain_margin
def test_loss_and_gradients_are_finite_at_the_edges(margin):
    """cos = ±1 to within rounding, zero embeddings, a zero weight, tiny and large."""
    for leaf in jax.tree.leaves(at_the_edges()[name_of(margin)]):
        assert np.isfinite(leaf).all()


def held(margin, cosine):
    """The margin with φ - cos θ held at its value at these cosines, if it detaches."""
    if getattr(margin, "grad", "exact") == "exact":
        return margin
    exact = dataclasses.replace(margin, grad="exact")
    offset = exact.target(cosine) - cosine
    kind = type("Held", (type(margin),), {"phi": lambda _, c: c + offset})
    return kind(**dataclasses.asdict(exact))


DETACHED = [ArcFace(grad="detach"), LSoftmax(grad="detach")]


@functools.cache
def slopes():
    """Slopes along random directions by the gradient and by central differences."""

    def both(margin, x):
        _, _, _, labels = example()
        variables = variables_of(margin, np.float64)
        point, unflatten = jax.flatten_util.ravel_pytree((variables, x))

        def loss(margin, flat):
            return head_of(margin).apply(*unflatten(flat), labels).loss.sum()

        out = head_of(margin).apply(variables, x, labels)
        steady = functools.partial(loss, held(margin, out.cosine))
        nudges = np.random.default_rng(2).normal(size=(4, point.size))
        aside = jnp.stack([0 * nudges, 1e-6 * nudges, -1e-6 * nudges])
        here, above, below = jax.vmap(jax.vmap(steady))(point + aside)
        exact = nudges @ jax.grad(loss, 1)(margin, point)
        return exact, (above - below) / 2e-6, here[0] - out.loss.sum()

    with jax.enable_x64(True):
        return of_every(PLAIN + DETACHED, both, example()[0])


@pytest.mark.parametrize("margin", PLAIN + DETACHED, ids=name_of)
def test_gradients_are_central_differences_in_double_precision(margin):
    """Where the margin detaches, those of the loss whose φ - cos θ doesn't move."""
    exact, difference, moved = slopes()[name_of(margin)]
    assert abs(moved) < 1e-12
    np.testing.assert_allclose(exact, difference, rtol=1e-6)


@functools.cache
def permuted():
    x, _, _, labels = example()

    def out(margin, x, labels):
        return head_of(margin).apply(variables_of(margin), x, labels)

    return of_every(PLAIN, out, x.astype(np.float32)[ORDER], labels[ORDER])


ORDER = np.array([3, 0, 5, 1, 4, 2])


@every_kind
def test_jit_is_eager_and_the_order_of_the_batch_is_of_no_matter(kind):
    x, _, _, labels = example()
    x, head, variables = x.astype(np.float32), head_of(kind()), variables_of(kind())
    eager = head.apply(variables, x, labels)
    jitted = permuted()[name_of(kind())]
    for name in ("loss", "cosine", "correct"):
        expected = getattr(eager, name)[ORDER]
        np.testing.assert_allclose(
            getattr(jitted, name), expected, rtol=2e-5, atol=1e-5
        )
    for name, value in eager.logged.items():
        assert value.shape == ()
        np.testing.assert_allclose(jitted.logged[name], value, rtol=1e-5)


@every_kind
def test_no_strength_and_a_neutral_margin_are_plain_cross_entropy(kind):
    """The loss's logits without margin are those of `logits`."""
    x, _, _, labels = example()
    x, variables = x.astype(np.float32), variables_of(kind())
    for head in (head_of(kind(), strength=Warmup(10)), head_of(neutral(kind))):
        out = head.apply(variables, x, labels, jnp.asarray(0))
        logits = head.apply(variables, x, method="logits")
        expected = cross_entropy(logits, labels)
        np.testing.assert_allclose(out.loss, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(out.correct, logits.argmax(1) == labels)


def test_strength_blends_the_cosine_and_phi():
    """At half strength the target is half-way, whatever the margin."""
    x, _, _, labels = example()
    x, variables = x.astype(np.float32), variables_of(CosFace(0.4))
    head = head_of(CosFace(0.4), strength=Warmup(10))
    half = head.apply(variables, x, labels, jnp.asarray(5))
    assert half.logged["strength"] == 0.5
    expected = head_of(CosFace(0.2)).apply(variables, x, labels).loss
    np.testing.assert_allclose(half.loss, expected, rtol=1e-5)
    full = head_of(CosFace(0.4)).apply(variables, x, labels).loss
    for step in (None, jnp.asarray(10), jnp.asarray(11)):
        out = head.apply(variables, x, labels, step)
        np.testing.assert_array_equal(out.loss, full)


@every_kind
def test_what_is_normalised_may_have_any_norm(kind):
    margin = kind()
    x, _, _, labels = example()
    x, head, variables = x.astype(np.float32), head_of(margin), variables_of(margin)
    loss = head.apply(variables, x, labels).loss
    longer = head.apply(variables, 3 * x, labels).loss
    assert np.allclose(loss, longer, rtol=1e-4) == margin.normalise_embeddings
    variables["params"]["weights"] = 3 * variables["params"]["weights"]
    longer = head.apply(variables, x, labels).loss
    assert np.allclose(loss, longer, rtol=1e-4) == margin.normalise_weights


@every_kind
def test_parameters_and_output(kind):
    head = head_of(kind())
    x, labels = jnp.ones((B, D)), jnp.zeros(B, int)
    init = functools.partial(head.init, jax.random.key(0), x)
    variables = jax.eval_shape(init, labels)
    shapes = jax.tree.map(jnp.shape, variables)["params"]
    assert shapes == {"weights": (C, D)} | ({"bias": (C,)} if kind.bias else {})
    again = jax.eval_shape(functools.partial(init, method="logits"))
    assert jax.tree.map(jnp.shape, again) == jax.tree.map(jnp.shape, variables)
    out = jax.eval_shape(head.apply, variables, x, labels)
    assert out.loss.shape == out.cosine.shape == out.correct.shape == (B,)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(out))
    assert ("scale" in out.logged) == kind.normalise_embeddings


@every_kind
def test_bfloat16_embeddings_are_close_and_their_target_is_float32(kind):
    x, _, _, labels = example()
    x = jnp.asarray(x, jnp.bfloat16)
    head, variables = head_of(kind()), variables_of(kind())
    low = head.apply(variables, x, labels)
    high = head.apply(variables, x.astype(jnp.float32), labels)
    assert low.loss.dtype == jnp.float32
    np.testing.assert_array_equal(low.cosine, high.cosine)
    np.testing.assert_allclose(low.loss, high.loss, rtol=0.02, atol=0.05)


VALID = np.array([True, False, False, True, False, False])


@functools.cache
def gradients_with_odd_labels():
    """Gradients and output with odd labels; and with the valid ones' weights alone."""
    x, _, _, labels = example()
    odd = np.where(VALID, labels, [0, -1, C, 0, 2**31 - 1, -(2**31)]).astype(np.int32)

    def both(margin, x, labels, weight):
        def loss(variables, x, labels, weight):
            out = head_of(margin).apply(variables, x, labels)
            return jnp.sum(weight * out.loss), out

        grad = jax.vmap(jax.grad(loss, (0, 1), has_aux=True), (None, None, 0, 0))
        return grad(variables_of(margin), x, labels, weight)

    labels = np.stack([odd, labels.astype(np.int32)])
    weights = np.stack([np.ones(B), VALID])
    return of_every(PLAIN, both, x.astype(np.float32), labels, weights)


@every_kind
def test_labels_out_of_range_cost_nothing_and_teach_nothing(kind):
    (gradients, out), (expected, _) = (
        jax.tree.map(lambda leaf, i=i: leaf[i], gradients_with_odd_labels())[
            name_of(kind())
        ]
        for i in (0, 1)
    )
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-7), gradients, expected
    )
    for ignored in (out.loss, out.correct, gradients[1]):
        np.testing.assert_array_equal(ignored[~VALID], 0.0)
    np.testing.assert_allclose(out.logged["ignored"], 4 / B, rtol=1e-6)


def test_a_learned_scale_starts_at_the_margins_own_and_learns():
    x, _, _, labels = example()
    x, head = x.astype(np.float32), head_of(ArcFace(0.5), scale="learned")
    variables = jax.jit(head.init)(jax.random.key(0), x, labels)
    fixed = {"params": {"weights": variables["params"]["weights"]}}
    expected = head_of(ArcFace(0.5), scale=64.0).apply(fixed, x, labels)
    out = head.apply(variables, x, labels)
    np.testing.assert_allclose(out.loss, expected.loss, rtol=1e-5)
    grads = jax.jit(jax.grad(lambda v: head.apply(v, x, labels).loss.sum()))(variables)
    assert grads["params"]["log_scale"] != 0.0


def test_margins_can_be_mapped_over():
    x, _, _, labels = example()
    x, variables = x.astype(np.float32), variables_of(ArcFace())

    def loss(margin, scale):
        head = head_of(ArcFace(margin), scale=scale)
        return head.apply(variables, x, labels).loss

    mapped = jax.jit(jax.vmap(loss))(jnp.array([0.1, 0.5]), jnp.array([8.0, 30.0]))
    expected = np.stack([loss(0.1, 8.0), loss(0.5, 30.0)])
    np.testing.assert_allclose(mapped, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (
            MarginHead(10, ArcFace(0.5), 30.0, Warmup(800)),
            "cross entropy of softmax over 10 classes; right class 30·cos(θ + 0.5) "
            "(past π straight in cos θ), others 30·cos θ; margin grows over 800 steps",
        ),
        (
            MarginHead(10, ArcFace(0.5, "detach", True, "none"), 64.0),
            "right class 64·cos(θ + 0.5) (below 90° only, past π rising again, "
            "gradient of the plain cosine), others 64·cos θ",
        ),
        (
            MarginHead(10, CosFace(0.35), "learned"),
            "right class s·(cos θ - 0.35), others s·cos θ; s is learned",
        ),
        (MarginHead(10, CosFace(0.0), TargetProbability(0.99)), "others 6.11311·cos θ"),
        (MarginHead(5, Softmax()), "over 5 classes; logits ‖w‖·‖x‖·cos θ + b"),
        (
            MarginHead(10, SphereFace(), strength=Annealing()),
            "right class ‖x‖·((-1)^k cos(4θ) - 2k), others ‖x‖·cos θ; margin's share "
            "1/(1 + λ) grows as λ falls from 1000 to 5",
        ),
        (MarginHead(10, SphereFaceR(), strength=jnp.tanh), "of varying strength"),
    ],
)
def test_the_words_say_what_is_trained(head, words):
    assert words in head.words()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_classes": 1}, "num_classes=1"),
        ({"scale": 0.0}, "scale=0.0"),
        ({"scale": float("inf")}, "scale=inf"),
        ({"scale": "learnt"}, "scale='learnt'"),
        ({"margin": Softmax(), "scale": 64.0}, "Softmax keeps the embeddings' norm"),
        ({"summation": "sparse"}, "known are: .*dense"),
    ],
)
def test_a_head_that_cannot_be_is_named(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        MarginHead(**{"num_classes": C, "margin": ArcFace(0.5), **fields})
