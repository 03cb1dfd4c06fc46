"""Laws of the margin head, over every margin in the table."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import (
    Annealing,
    ArcFace,
    CosFace,
    LSoftmax,
    MarginHead,
    Softmax,
    SphereFace,
    SphereFace2,
    SphereFaceR,
    SubCenterArcFace,
    TargetProbability,
    UniformFace,
    Warmup,
)
from tests.heads.heads_reference import (
    BY_NORM,
    EXAMPLES,
    LOSSES,
    NAMES,
    SOFT,
    loss_of,
    name_of,
    statistics_of,
)

# A head depends on a margin's options by φ and its slope only, which are tested in
# test_heads_margins.py.
PLAIN = [*EXAMPLES.values(), SOFT]
DETACHED = [kind(grad="detach") for kind in (ArcFace, LSoftmax, SphereFace2)]
every_margin = pytest.mark.parametrize("margin", PLAIN, ids=name_of)
B, C, D = 6, 5, 4
FULL = 10  # steps until the margin applies in full


@functools.cache
def example():
    """Return embeddings on both sides of each margin's bends, weights, bias, labels."""
    rng = np.random.default_rng(1)
    x, weights = 2 * rng.normal(size=(B, D)), rng.normal(size=(C, D))
    labels = np.array([0, 1, 2, 3, 4, 0], np.int32)
    x[1] = weights[1] + 0.1 * rng.normal(size=D)
    x[2] = -weights[2] + 0.2 * rng.normal(size=D)
    return x, weights, rng.normal(size=C), labels


def variables_of(margin, dtype=np.float32):
    _, weights, bias, _ = example()
    if margin.subcenters > 1:
        others = np.random.default_rng(4).normal(size=(C, margin.subcenters - 1, D))
        weights = np.concatenate([weights[:, None], others], axis=1)
    params = {"weights": weights.astype(dtype)}
    if margin.bias:
        params["bias"] = (bias[0] if margin.shared_bias else bias).astype(dtype)
    statistics = statistics_of(margin, dtype)
    return {"params": params} | ({"statistics": statistics} if statistics else {})


def scale_of(margin):
    if margin.finds_scale:
        return 3.0
    return 8.0 if margin.normalize_embeddings else None


def head_of(margin, **fields):
    fields.setdefault("scale", None if margin.finds_scale else scale_of(margin))
    return MarginHead(num_classes=C, margin=margin, **fields)


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def margins_in(dtype):
    """Return the margins that are computed in a precision: some in float64 alone."""
    return PLAIN + DETACHED * (dtype == np.float64)


@functools.cache
def program(dtype):
    """Return the program of all heads' outputs, logits and gradients."""

    def of_one(margin, variables, x, labels, weight, step):
        head = head_of(margin, strength=Warmup(FULL))

        def loss(params, x):
            out = head.apply(variables | {"params": params}, x, labels, step)
            return jnp.sum(weight * out.loss), out

        grads, out = jax.grad(loss, (0, 1), has_aux=True)(variables["params"], x)
        return out, head.apply(variables, x, method="logits"), grads

    def of_all(variables, *batch):
        pairs = zip(margins_in(dtype), variables, strict=True)
        return [of_one(margin, v, *batch) for margin, v in pairs]

    return jax.jit(of_all)


def run(dtype=np.float32, *, change=lambda v: v, x=None, labels=None, **fields):
    """Return `(output, logits, gradients)` by margin, for changed parameters."""
    fields = {"weight": np.ones(B), "step": FULL} | fields
    x = example()[0] if x is None else x
    labels = example()[3] if labels is None else labels
    variables = [variables_of(margin, dtype) for margin in margins_in(dtype)]
    for of_one in variables:
        of_one["params"] = change(of_one["params"])
    weight, step = fields["weight"].astype(dtype), np.int32(fields["step"])
    with jax.enable_x64(dtype == np.float64):
        batch = x.astype(dtype), labels.astype(np.int32), weight, step
        results = jax.device_get(program(dtype)(variables, *batch))
    return dict(zip(map(name_of, margins_in(dtype)), results, strict=True))


run_once = functools.cache(run)


def expected_loss(margin, strength=1.0):
    x, _, _, labels = example()
    params = variables_of(margin, np.float64)["params"]
    given = params["weights"], params.get("bias"), labels, scale_of(margin)
    return loss_of(margin, x, *given, strength)


@every_margin
def test_the_loss_equals_the_paper(margin):
    expected = expected_loss(margin)
    for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-12)):
        loss = run_once(dtype)[name_of(margin)][0].loss
        np.testing.assert_allclose(loss, expected, rtol=tolerance, atol=tolerance)
        assert loss.dtype == dtype


@functools.cache
def at_the_edges(factor):
    """Return results for embeddings along class 0's weight times `factor`."""
    factors = np.array([3.0, -3.0, 0.0, 1e-9, 1 / 3, 1e4])

    def change(params):
        changed = params["weights"].copy()
        changed[0] *= factor
        return params | {"weights": changed}

    x = factors[:, None] * example()[1][0]
    return run(x=x, labels=np.zeros(B), change=change)


@every_margin
@pytest.mark.parametrize("factor", [1.0, 0.0])
def test_loss_and_gradients_are_finite_at_the_edges(margin, factor):
    """Edges are cosines ±1, zero, tiny and large embeddings, and a zero weight."""
    for leaf in jax.tree.leaves(at_the_edges(factor)[name_of(margin)]):
        assert np.isfinite(leaf).all()


def test_equal_centers_repel_each_other_finitely():
    x, _, _, labels = example()
    head = head_of(UniformFace())
    variables = {"params": {"weights": jnp.ones((C, D))}}
    loss = jax.jit(jax.value_and_grad(lambda v: head.apply(v, x, labels).loss.sum()))
    for leaf in jax.tree.leaves(loss(variables)):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("margin", PLAIN + DETACHED, ids=name_of)
def test_gradients_equal_central_differences(margin):
    """The differences hold constant what the margin takes no gradient of."""
    x, _, _, labels = example()
    params = variables_of(margin, np.float64)["params"]
    at = x, params["weights"]
    out, _, (grads, x_grad) = run_once(np.float64)[name_of(margin)]

    def loss(weights, bias, x):
        given = weights, bias, labels, scale_of(margin)
        return loss_of(margin, x, *given, at=at).sum()

    point = [params["weights"], params.get("bias", np.zeros(())), x]
    grad = [grads["weights"], grads.get("bias", np.zeros(())), x_grad]
    np.testing.assert_allclose(loss(*point), out.loss.sum(), rtol=1e-12)
    rng = np.random.default_rng(2)
    for _ in range(4):
        nudge = [rng.normal(size=part.shape) for part in point]
        nudge[1] = nudge[1] * margin.bias
        pairs = list(zip(point, nudge, strict=True))
        above, below = (loss(*(p + t * n for p, n in pairs)) for t in (1e-6, -1e-6))
        exact = sum(np.sum(g * n) for g, n in zip(grad, nudge, strict=True))
        np.testing.assert_allclose(exact, (above - below) / 2e-6, rtol=1e-6)


ORDER = np.array([3, 0, 5, 1, 4, 2])


@every_margin
def test_batch_order_does_not_matter(margin):
    out = run_once()[name_of(margin)][0]
    shuffled = permuted()[name_of(margin)][0]
    for name in ("loss", "cosine", "correct"):
        expected = getattr(out, name)[ORDER]
        np.testing.assert_allclose(
            getattr(shuffled, name), expected, rtol=2e-5, atol=1e-5
        )
    for name, value in out.logged.items():
        assert value.shape == ()
        np.testing.assert_allclose(shuffled.logged[name], value, rtol=1e-5)


@functools.cache
def permuted():
    x, _, _, labels = example()
    return run(x=x[ORDER], labels=labels[ORDER])


@every_margin
def test_at_strength_zero_the_loss_is_margin_free(margin):
    """The margin-free logits of the loss are those of `logits`."""
    labels = example()[3]
    out, logits, _ = run_once(step=0)[name_of(margin)]
    np.testing.assert_array_equal(out.correct, logits.argmax(1) == labels)
    expected = expected_loss(margin, strength=0.0)
    np.testing.assert_allclose(out.loss, expected, rtol=2e-5, atol=1e-5)
    if NAMES[type(margin)] not in LOSSES:
        expected = cross_entropy(logits, labels)
        np.testing.assert_allclose(out.loss, expected, rtol=1e-5, atol=1e-5)


def test_strength_blends_the_cosine_and_phi():
    """At half strength φ is the mean of cosine and full margin."""
    x, _, _, labels = example()
    x, variables = x.astype(np.float32), variables_of(CosFace(0.4))
    head = head_of(CosFace(0.4), strength=Warmup(10))
    at = jax.jit(lambda step: head.apply(variables, x, labels, step))
    half = at(jnp.asarray(5))
    assert half.logged["strength"] == 0.5
    plain = jax.jit(lambda m: head_of(CosFace(m)).apply(variables, x, labels).loss)
    np.testing.assert_allclose(half.loss, plain(0.2), rtol=1e-5)
    for step in (None, jnp.asarray(10), jnp.asarray(11)):
        np.testing.assert_allclose(at(step).loss, plain(0.4), rtol=1e-6)


@functools.cache
def longer(which):
    tripled = lambda params: params | {"weights": 3 * params["weights"]}  # noqa: E731
    return run(x=3 * example()[0]) if which == "embeddings" else run(change=tripled)


@every_margin
def test_norms_of_normalized_vectors_do_not_matter(margin):
    loss = run_once()[name_of(margin)][0].loss
    changed = longer("embeddings")[name_of(margin)][0].loss
    indifferent = margin.normalize_embeddings and NAMES[type(margin)] not in BY_NORM
    assert np.allclose(loss, changed, rtol=1e-4, atol=1e-5) == indifferent
    changed = longer("weights")[name_of(margin)][0].loss
    indifferent = margin.normalize_weights
    assert np.allclose(loss, changed, rtol=1e-4, atol=1e-5) == indifferent


SIZES = (1e-30, 1e-20, 1e-8, 1e8, 1e18, 1e20)


@functools.cache
def of_size(size, which):
    sized = lambda params: params | {"weights": size * params["weights"]}  # noqa: E731
    return run(x=size * example()[0]) if which == "embeddings" else run(change=sized)


@every_margin
@pytest.mark.parametrize("size", SIZES)
def test_normalized_vectors_may_be_tiny_or_huge(margin, size):
    name = name_of(margin)
    expected, _, (params, rows) = run_once()[name]
    if margin.normalize_embeddings:
        out, _, grads = of_size(size, "embeddings")[name]
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((out, grads)))
        if NAMES[type(margin)] not in BY_NORM:
            np.testing.assert_allclose(out.loss, expected.loss, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(size * grads[1], rows, rtol=1e-2, atol=1e-3)
    if margin.normalize_weights:
        out, _, grads = of_size(size, "weights")[name]
        np.testing.assert_allclose(out.loss, expected.loss, rtol=1e-4, atol=1e-5)
        sized = size * grads[0]["weights"]
        np.testing.assert_allclose(sized, params["weights"], rtol=1e-2, atol=1e-3)


@every_margin
def test_parameters_and_output_have_their_shapes(margin):
    head = head_of(margin)
    x, labels = jnp.ones((B, D)), jnp.zeros(B, int)
    init = functools.partial(head.init, jax.random.key(0), x)
    variables = jax.eval_shape(init, labels)
    shapes = jax.tree.map(jnp.shape, variables)
    assert shapes == jax.tree.map(jnp.shape, variables_of(margin))
    again = jax.eval_shape(functools.partial(init, method="logits"))
    assert jax.tree.map(jnp.shape, again) == shapes
    out = jax.eval_shape(head.apply, variables, x, labels)
    assert out.loss.shape == out.cosine.shape == out.correct.shape == (B,)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(out))
    assert ("scale" in out.logged) == margin.normalize_embeddings


FEW = [Softmax(), ArcFace(), SubCenterArcFace()]


@pytest.mark.parametrize("margin", FEW, ids=name_of)
def test_jit_equals_eager(margin):
    x, _, _, labels = example()
    x, head, variables = x.astype(np.float32), head_of(margin), variables_of(margin)
    eager = head.apply(variables, x, labels)
    jitted = run_once()[name_of(margin)][0]
    np.testing.assert_allclose(jitted.loss, eager.loss, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("margin", FEW, ids=name_of)
def test_bfloat16_embeddings_are_close_and_their_target_is_float32(margin):
    x, _, _, labels = example()
    x = jnp.asarray(x, jnp.bfloat16)
    head, variables = head_of(margin), variables_of(margin)
    apply = jax.jit(head.apply)
    low, high = (apply(variables, a, labels) for a in (x, x.astype(jnp.float32)))
    assert low.loss.dtype == jnp.float32
    np.testing.assert_array_equal(low.cosine, high.cosine)
    np.testing.assert_allclose(low.loss, high.loss, rtol=0.02, atol=0.05)


VALID = np.array([True, False, False, True, False, False])


@functools.cache
def with_odd_labels():
    """Return results with invalid labels, and with their weights set to 0."""
    labels = np.where(VALID, example()[3], [0, -1, C, 0, 2**31 - 1, -(2**31)])
    return run(labels=labels), run(weight=VALID)


@every_margin
def test_labels_out_of_range_have_loss_and_gradient_zero(margin):
    (out, _, grads), (_, _, expected) = (o[name_of(margin)] for o in with_odd_labels())
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-6), grads, expected
    )
    for ignored in (out.loss, out.correct, grads[1]):
        np.testing.assert_array_equal(ignored[~VALID], 0.0)
    np.testing.assert_allclose(out.logged["ignored"], 4 / B, rtol=1e-6)


def test_a_learned_scale_starts_at_the_default_and_has_a_gradient():
    x, _, _, labels = example()
    x, head = x.astype(np.float32), head_of(ArcFace(0.5), scale="learned")
    variables = jax.jit(head.init)(jax.random.key(0), x, labels)
    fixed = {"params": {"weights": variables["params"]["weights"]}}
    expected = jax.jit(head_of(ArcFace(0.5), scale=64.0).apply)(fixed, x, labels)

    def total(variables):
        loss = head.apply(variables, x, labels).loss
        return loss.sum(), loss

    grads, loss = jax.jit(jax.grad(total, has_aux=True))(variables)
    np.testing.assert_allclose(loss, expected.loss, rtol=1e-5)
    assert grads["params"]["log_scale"] != 0.0


def test_margins_can_be_vmapped():
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
            "cross entropy of softmax over 10 classes; target 30·cos(θ + 0.5) "
            "(past π linear in cos θ), others 30·cos θ; margin grows over 800 steps",
        ),
        (
            MarginHead(10, ArcFace(0.5, "detach", True, "none"), 64.0),
            "target 64·cos(θ + 0.5) (below 90° only, past π rising again, "
            "gradient of the plain cosine), others 64·cos θ",
        ),
        (
            MarginHead(10, CosFace(0.35), "learned"),
            "target s·(cos θ - 0.35), others s·cos θ; s is learned",
        ),
        (MarginHead(10, CosFace(0.0), TargetProbability(0.99)), "others 6.11311·cos θ"),
        (MarginHead(5, Softmax()), "over 5 classes; logits ‖w‖·‖x‖·cos θ + b"),
        (
            MarginHead(10, SphereFace(), strength=Annealing()),
            "target ‖x‖·((-1)^k cos(4θ) - 2k), others ‖x‖·cos θ; margin's share "
            "1/(1 + λ) grows as λ falls from 1000 to 5",
        ),
        (MarginHead(10, SphereFaceR(), strength=jnp.tanh), "of varying strength"),
    ],
)
def test_words_describe_the_loss(head, words):
    assert words in head.words()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_classes": 1}, "num_classes=1"),
        ({"num_classes": 2.5}, "num_classes=2.5; expected an integer"),
        ({"num_classes": "3"}, "num_classes='3'; expected an integer"),
        ({"scale": 0.0}, "scale=0.0"),
        ({"scale": float("inf")}, "scale=inf"),
        ({"scale": "free"}, "scale='free'"),
        ({"margin": Softmax(), "scale": 64.0}, "Softmax keeps the embeddings' norm"),
        ({"summation": "sparse"}, "known are: .*dense"),
    ],
)
def test_an_invalid_head_raises_an_error(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        MarginHead(**{"num_classes": C, "margin": ArcFace(0.5), **fields})
