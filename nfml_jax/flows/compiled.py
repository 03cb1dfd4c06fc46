"""Compiled methods of modules, for calls outside of `jax.jit`.

Outside of `jax.jit`, JAX traces and compiles the loops of a module again at each call:
one second for each log-density of a spline flow. So a module of this kind is called
through one jitted function, which is cached for the module, the method and the
arguments' shapes. Within a program that is being traced, such as the caller's own jit,
methods are traced as usual.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from nfml_jax.ops.values import Value, frozen

# The number of cached programs; the least recently used one is dropped first.
PROGRAMS = 128


class Compiled(Value):
    """A module whose `apply` compiles the methods that are marked by `compiled`.

    `static` names the arguments that are not arrays, such as shapes. Results are those
    of a jitted call. Gradients, vmap, random keys and mutable collections work as with
    any module.
    """

    static: ClassVar[tuple[str, ...]] = ()

    @nn.nowrap
    def apply(
        self,
        variables,
        *args,
        rngs=None,
        method: Callable | str | None = None,
        mutable: Any = False,
        capture_intermediates: Any = False,
        **kwargs,
    ):
        """Call `method`, as `flax.linen.Module.apply` does."""
        if not capture_intermediates:
            run = _program(self, _name(self, method), args, kwargs, mutable)
            if run is not None:
                return run(variables, rngs)
        return super().apply(
            variables,
            *args,
            rngs=rngs,
            method=method,
            mutable=mutable,
            capture_intermediates=capture_intermediates,
            **kwargs,
        )


def compiled(method: Callable) -> Callable:
    """Mark a method of a `Compiled` module; a bound module compiles it as well.

    The exceptions are modules bound with mutable collections or with random keys, as
    their calls change the module.
    """

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        scope = self.scope
        if scope is None or scope.mutable or scope.rngs or tracing():
            return method(self, *args, **kwargs)
        module, variables = self.unbind()
        run = _program(module, method.__name__, args, kwargs, False)
        return method(self, *args, **kwargs) if run is None else run(variables, None)

    call.is_compiled = True  # pyright: ignore[reportAttributeAccessIssue]  # a mark
    return call


def tracing() -> bool:
    """Return True while a program is traced, such as that of a jit or a scan.

    Gradients and vmap outside of any jit do not count as programs.
    """
    return isinstance(jnp.zeros(()), Tracer)


def _name(module, method) -> str | None:
    """Return the name of a method of the module's class; None for other functions."""
    if method is None or isinstance(method, str):
        return method or "__call__"
    method = getattr(method, "__func__", method)
    name = getattr(method, "__name__", "")
    return name if getattr(type(module), name, None) is method else None


def _program(module, name, args, kwargs, mutable) -> Callable | None:
    """Return a function of variables and keys that runs a cached program.

    The result is None if there is nothing to cache: the method isn't `compiled`, the
    arguments don't fit it, the module isn't hashable, or a program is being traced.
    """
    method = getattr(type(module), name or "", None)
    if (
        method is None
        or not getattr(method, "is_compiled", False)
        or module.parent is not None
    ):
        return None
    try:
        bound = inspect.signature(method).bind(module, *args, **kwargs)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        static = {n: frozen(given.pop(n)) for n in module.static if n in given}
        static = tuple(static.items())
        given = {n: _array(value) for n, value in given.items()}
        mutable = frozen(mutable)
        hash((module, static, mutable))
    except TypeError:
        return None
    if tracing():
        return None

    def run(variables, rngs):
        arguments = variables, rngs, given
        leaves, structure = jax.tree.flatten(arguments)
        kinds = tuple((np.shape(x), getattr(x, "dtype", type(x))) for x in leaves)
        program = _cached(module, method.__name__, static, mutable, structure, kinds)
        return program(*arguments)

    return run


def _array(value):
    """Return a number or a list as an array; TypeError for what JAX can't represent."""
    if value is None or isinstance(value, jax.Array):
        return value
    value = np.asarray(value)
    if value.dtype.kind not in "biufc" and value.dtype != jnp.bfloat16:
        raise TypeError(f"not an array: {value.dtype}")
    return value.astype(jax.dtypes.canonicalize_dtype(value.dtype), copy=False)


@functools.lru_cache(maxsize=PROGRAMS)
def _cached(module, name, static, mutable, structure, kinds) -> Callable:
    """Return a jitted call of the method; it runs for one structure and kind only."""
    del structure, kinds  # one program for each, so that the cache bounds them all

    def run(variables, rngs, arguments):
        call = functools.partial(nn.Module.apply, module, variables)
        arguments = arguments | dict(static)
        return call(rngs=rngs, method=name, mutable=mutable, **arguments)

    return jax.jit(run)
