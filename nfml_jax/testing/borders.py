"""The laws of bijectors at the borders of their input: NaN, half precision, no events.

One compiled program runs all of them, once for each kind of input.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors import Bijector
from nfml_jax.ops.events import is_map

DIRECTIONS = {
    "forward": "forward_and_log_det",
    "inverse": "inverse_and_log_det",
}
HALF = jnp.bfloat16
# Coordinates of the events that are far out; most bounded maps have them outside.
FAR = (5.0, -5.0, 1e4, -1e4)


def check_borders(
    bijector: Bijector, variables, given: dict, found: dict, allowed
) -> None:
    """Raise AssertionError, naming the law, unless a bijector obeys those at borders.

    Args:
      bijector: the bijector.
      variables: its variables.
      given: by direction the events `[N, *event]` that go in; "context" is that of
        forward, `[N, C]`, a feature map, or None.
      found: by direction the "event" and the "log_det" that come out of these.
      allowed: the error `[N]` that the rounding of each event permits.
    """
    x, y = np.asarray(given["forward"]), np.asarray(given["inverse"])
    context = None if given["context"] is None else np.asarray(given["context"])
    contexts = context, _of_results(bijector, x, context)
    for name, event, beside in zip(DIRECTIONS, (x, y), contexts, strict=True):
        _check_kinds(bijector, variables, name, event, beside)
    # Below, events are vectors of all their numbers.
    run = jax.jit(partial(_both_precisions, bijector, x.shape[1:], y.shape[1:]))
    n, is_vector = len(x), context is None or context.ndim == 2
    x, y = x.reshape(n, -1), y.reshape(n, -1)
    found = {
        name: {**parts, "event": np.asarray(parts["event"]).reshape(n, -1)}
        for name, parts in found.items()
    }
    unusual = _unusual(x)

    def results(x, y, context=context):
        more = len(x) - n
        context = (_two_batches if is_vector else _longer)(context, more)
        return jax.device_get(run(variables, x, y, context))

    usual = [np.concatenate([a, a[:1].repeat(len(unusual), 0)]) for a in (x, y)]
    plain = results(*usual)
    for name, (event, log_det) in plain["single"].items():
        law = f"{name}: a context may have more batch axes than the events"
        _close(law, _first(event, 2)[:n], found[name]["event"], allowed)
        _close(law, _first(log_det, 1)[:n], found[name]["log_det"], allowed)

    rounded = [_rounded(a) for a in usual]
    _check_half(results(*rounded, context=_rounded(context)), allowed)

    bad = [np.concatenate([a, unusual]) for a in (x, y)]
    beside = results(*bad)
    for name, (event, log_det) in beside["single"].items():
        law = f"{name}: NaN in an event doesn't change others"
        same = plain["single"][name]
        _close(law, _first(event, 2)[:n], _first(same[0], 2)[:n], allowed)
        _close(law, _first(log_det, 1)[:n], _first(same[1], 1)[:n], allowed)
        for precision in beside.values():
            missing = np.isnan(precision[name][0][..., n : n + 2, :]).any(-1)
            assert missing.all(), f"broken law: {name}: NaN gives NaN"
    _check_support(bijector, beside["single"], bad, results, n)


def _check_support(bijector, found, given, results, n):
    """Check that the inverse has log-determinant -inf where an event is no image."""
    far = slice(n + 2, n + 2 + len(FAR))
    if bijector.covers_line:
        for name, (_, log_det) in found.items():
            law = f"broken law: {name}: a map of the line has all events as images"
            assert not np.isneginf(log_det[..., far]).any(), law
        return
    x, log_det = (_first(a, b) for a, b in zip(found["inverse"], (2, 1), strict=True))
    y = _first(results(np.nan_to_num(x), given[1])["single"]["forward"][0], 2)
    # Beyond ±5 a map may saturate, and different events then have equal images.
    near = slice(n + 2, n + 4)
    image = np.isclose(y[near], given[1][near], rtol=1e-2).all(-1)
    outside = np.isneginf(log_det[near])
    law = "broken law: inverse: the log-determinant is -inf where there is no image"
    assert (image != outside).all(), law


def _check_half(found, allowed):
    """Check that half precision gives float32's results, rounded."""
    for name, (event, log_det) in found["half"].items():
        law = f"{name}: half precision gives float32's results"
        assert event.dtype == HALF, f"broken law: {law}, rounded; got {event.dtype}"
        assert log_det.dtype == np.float32, f"broken law: {law}; got {log_det.dtype}"
        expected = found["single"][name]
        n, single = len(allowed), np.finfo(np.float32).eps
        loose = allowed * max(1, single / np.finfo(expected[0].dtype).eps)
        event, same = (_first(a, 2)[:n].astype(float) for a in (event, expected[0]))
        size = loose + float(jnp.finfo(HALF).eps) * np.abs(same).max(-1)
        _close(law, event, same, size)
        _close(law, _first(log_det, 1)[:n], _first(expected[1], 1)[:n], loose)


def _check_kinds(bijector, variables, name, x, context):
    """Check shapes and types of a direction for integers, and for empty batches."""
    shapes = partial(jax.tree.map, jnp.shape)
    if name == "forward":
        params = jax.eval_shape(
            bijector.init,
            jax.random.key(0),
            x[:0],
            None if context is None else context[:0],
        ).get("params", {})
        law = "broken law: an empty batch makes the parameters that others make"
        assert shapes(params) == shapes(variables.get("params", {})), law
    dtype = jnp.zeros(()).dtype
    to = bijector.forward_shape if name == "forward" else bijector.inverse_shape
    shape = to(x.shape[1:])

    def run(x, context):
        return jax.eval_shape(
            lambda v: bijector.apply(v, x, context, method=DIRECTIONS[name]), variables
        )

    event, log_det = run(np.ones(x.shape, np.int32), context)
    law = f"broken law: {name}: integers give what floats give"
    is_ = event.shape[1:], event.dtype, log_det.dtype
    assert is_ == (shape, dtype, dtype), law
    empty = run(x[:0], None if context is None else context[:0])
    law = f"broken law: {name}: an empty batch gives an empty result"
    assert [a.shape for a in empty] == [(0, *shape), (0,)], law


def _of_results(bijector, x, context):
    """Return the context of events f(x): a feature map follows the bijector."""
    if is_map(context, x, bijector.event_ndim):
        return np.asarray(bijector.forward_context(jnp.asarray(context)))
    return context


def _both_precisions(bijector, shape, shape_out, variables, x, y, context):
    """Return the results of both directions by precision, as given and in half.

    Events are vectors of all numbers of an event of `shape`, or of `shape_out`.
    """

    def both(x, y, context):
        x = x.reshape(len(x), *shape)
        y = y.reshape(len(y), *shape_out)
        moves = is_map(context, x, bijector.event_ndim)
        beside = bijector.forward_context(context) if moves else context
        ways = zip(DIRECTIONS.items(), (x, y), (context, beside), strict=True)
        found = {}
        for (name, method), event, given in ways:
            event, log_det = bijector.apply(variables, event, given, method=method)
            found[name] = event.reshape(*log_det.shape, -1), log_det
        return found

    half = jax.tree.map(lambda a: a.astype(HALF), (x, y, context))
    return {"single": both(x, y, context), "half": both(*half)}


def _unusual(x):
    """Return events with NaN in the first and in the last coordinate, and far ones."""
    first, last = x[:1].copy(), x[:1].copy()
    first[..., 0], last[..., -1] = np.nan, np.nan
    return np.concatenate([first, last, *(np.full_like(x[:1], a) for a in FAR)])


def _two_batches(context, more):
    """Return contexts `[2, N + more, C]`, where the first batch begins as given."""
    if context is None:
        return None
    context = _longer(context, more)
    return np.stack([context, context[::-1]])


def _longer(context, more):
    """Return contexts `[N + more, ...]`, of which the last are the first again."""
    return np.concatenate([context, context[:1].repeat(more, 0)])


def _first(array, axes):
    """Return the first of the contexts' batches, without its axis if it has one."""
    return array[0] if array.ndim > axes else array


def _rounded(array):
    return None if array is None else array.astype(HALF).astype(array.dtype)


def _close(law, value, expected, allowed):
    value, expected = np.asarray(value, float), np.asarray(expected, float)
    same = value == expected  # infinities among them
    error = np.abs(np.where(same, 0, value) - np.where(same, 0, expected))
    allowed = allowed.reshape(-1, *(1,) * (error.ndim - 1))
    excess = float((error / allowed).max())
    assert excess <= 1, f"broken law: {law}; {excess:.3g} times the error allowed"
