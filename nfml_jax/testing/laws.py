"""The laws that every bijector obeys, as one check for any test suite."""

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors import Bijector
from nfml_jax.ops.events import is_map
from nfml_jax.testing.borders import check_borders
from nfml_jax.testing.variables import start

Array = jax.Array


def check_bijector(
    bijector: Bijector,
    x: Array,
    context: Array | None = None,
    *,
    variables=None,
    seed: int = 0,
    spread: float = 0.5,
    tolerance: float | None = None,
    eager: bool = True,
    borders: bool = True,
) -> None:
    """Raise AssertionError, naming the law, unless `bijector` obeys all of them.

    The laws, at events `x [N, *event]` in the map's domain, `context [N, C]` or a
    feature map `[N, *places, C]`, and random parameters, in both directions:

    - results have the shape that the bijector says, the event's precision, and are
      finite; log-determinants are `[N]`;
    - the inverse undoes the map, and the two log-determinants cancel;
    - the log-determinant is that of the Jacobian, by automatic differentiation, and
      within the limit that the bijector says;
    - a single event gives the values that it gives in the batch, and jit gives the
      `eager` values (the law that takes longest to check);
    - gradients in events, context and parameters are finite;
    - at the `borders` of its input: a context vector may have more batch axes than
      the events; half precision gives the results of float32, rounded, and
      integers those of floats; an event with NaN gives NaN and doesn't change others of
      its batch; the log-determinant of the inverse is minus infinity where an event is
      no image; an empty batch gives an empty result.

    Without `variables` they are those of `start`, drawn from `seed` and moved by normal
    noise of standard deviation `spread`, since many maps start as the identity.
    `tolerance`, by default 512 units in the last place, is allowed for each unit of the
    Jacobian's condition number, absolutely and relatively.
    """
    x = jnp.asarray(x)
    tolerance = tolerance or 512 * float(jnp.finfo(x.dtype).eps)
    if variables is None:
        variables = start(bijector, x, context, seed=seed, spread=spread)

    def forward(variables, x, context):
        return bijector.apply(variables, x, context, method="forward_and_log_det")

    def inverse(variables, y, context):
        return bijector.apply(variables, y, context, method="inverse_and_log_det")

    @jax.jit
    def measure(variables, x, context):
        # One program for all laws, as most of the time is spent compiling.
        forth = _measure(forward, variables, x, context)
        beside = context_of_results(bijector, x, context)
        return forth, _measure(inverse, variables, forth["event"], beside)

    forth, back = jax.device_get(measure(variables, x, context))
    size = np.abs(_flat(x)).max(-1) + np.abs(_flat(forth["event"])).max(-1) + 1
    allowed = tolerance * size * np.linalg.cond(forth["jacobian"].astype(float))

    for name, map_, at, is_ in (
        ("forward", forward, x, forth),
        ("inverse", inverse, forth["event"], back),
    ):
        event = bijector.forward_shape(x.shape[1:]) if is_ is forth else x.shape[1:]
        for what, shape in (("event", (len(x), *event)), ("log_det", x.shape[:1])):
            value = is_[what]
            law = f"broken law: {name}: {what} is {value.dtype} {value.shape}"
            assert value.dtype == x.dtype and value.shape == shape, law
            assert np.isfinite(value).all(), f"broken law: {name}: {what} is finite"
            law = f"{name}: one event alone is as in the batch"
            _close(law, is_["alone"][what], value, allowed)
        slogdet = np.linalg.slogdet(is_["jacobian"].astype(float))[1]
        law = f"{name}: the log-determinant is the Jacobian's"
        _close(law, is_["log_det"], slogdet, allowed)
        for path, finite in jax.tree_util.tree_leaves_with_path(is_["finite"]):
            where = jax.tree_util.keystr(path)
            assert finite, f"broken law: {name}: the gradient in {where} is finite"
        if eager:
            beside = context
            if is_ is back:
                beside = context_of_results(bijector, x, context)
            y, log_det = map_(variables, at, beside)
            _close(f"{name}: jit is eager", y, is_["event"], allowed)
            _close(f"{name}: jit is eager", log_det, is_["log_det"], allowed)
    limit = bijector.log_det_limit(x.shape[1:]) + allowed
    law = "broken law: the log-determinant is within its limit"
    assert (np.abs(forth["log_det"]) <= limit).all(), law
    _close("the inverse undoes the map", back["event"], x, allowed)
    _close("the log-determinants cancel", -back["log_det"], forth["log_det"], allowed)
    if borders and x.ndim > 1:
        given = {"forward": x, "inverse": forth["event"], "context": context}
        found = {"forward": forth, "inverse": back}
        check_borders(bijector, variables, given, found, allowed)


def context_of_results(bijector: Bijector, x, context):
    """Return the context of events f(x): a feature map follows the bijector."""
    if is_map(context, x, bijector.event_ndim):
        return bijector.forward_context(jnp.asarray(context))
    return context


def finite_gradients(map_, variables, x, context=None):
    """Return for each gradient of Σ (y + log_det) whether it is finite.

    `map_(variables, x, context) -> (y, log_det)`; the tree of booleans has "params",
    "x" and, if given, "context".
    """
    return _value_and_finite_gradients(map_, variables, x, context)[1]


def _value_and_finite_gradients(map_, variables, x, context):
    """Return `map_`'s result, and `finite_gradients`, traced together."""

    def total(given):
        rest = {**variables, "params": given["params"]}
        y, log_det = map_(rest, given["x"], given.get("context"))
        return y.sum() + log_det.sum(), (y, log_det)

    given = {"params": variables.get("params", {}), "x": x}
    if context is not None:
        given["context"] = context
    gradients, found = jax.grad(total, has_aux=True)(given)
    return found, jax.tree.map(lambda g: jnp.isfinite(g).all(), gradients)


def _measure(map_, variables, x, context):
    """Return a direction's results for the batch, and for each event by itself."""

    def alone(x, context):
        one = None if context is None else context[None]
        y, log_det = map_(variables, x[None], one)
        return y[0], {"event": y[0], "log_det": log_det[0]}

    axes = (0, None if context is None else 0)
    jacobian, singles = jax.vmap(jax.jacfwd(alone, has_aux=True), axes)(x, context)
    size = x[0].size
    (y, log_det), finite = _value_and_finite_gradients(map_, variables, x, context)
    return {
        "event": y,
        "log_det": log_det,
        "jacobian": jacobian.reshape(len(x), size, size),
        "alone": singles,
        "finite": finite,
    }


def _flat(events):
    return np.asarray(events).reshape(len(events), -1)


def _close(law, value, expected, allowed):
    error = np.abs(np.asarray(value, float) - np.asarray(expected, float))
    allowed = allowed.reshape(-1, *(1,) * (error.ndim - 1))
    excess = float((error / allowed).max())
    assert excess <= 1, f"broken law: {law}; {excess:.3g} times the error allowed"
