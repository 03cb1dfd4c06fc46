"""The cost of a step: XLA's count of its floating-point operations.

XLA counts a loop's body once, however often it runs. Here every iteration of a loop of
fixed length (`lax.scan`: the layers of a flow, the parts of a batch) counts. A loop
with a stopping condition counts once.
"""

from collections.abc import Callable, Iterator

import jax
from jax import lax
from jax.extend import core
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from nfml_jax.ops.control_flow import axes_of_aval


class Counted:
    """A compiled dispatch and the cost of its step.

    The dispatch is that of `nfml_jax.training.step.make_dispatch`. It is traced for the
    arguments given here and compiled once, at its first call. `flops` are those of a
    step on all devices, 0 if XLA doesn't count it.
    """

    def __init__(self, dispatch: Callable, mesh: Mesh, *arguments):
        traced = dispatch.trace(*arguments)
        self._lowered, self._compiled = traced.lower(), None
        try:
            further = (_further_rounds(*scan, mesh) for scan in _scans(traced.jaxpr))
            self.flops = mesh.size * (_flops(self._lowered) + sum(further))
        except Exception:  # a loop that JAX cannot extract from its program
            self.flops = 0.0

    def __call__(self, *arguments):
        if self._compiled is None:
            assert self._lowered is not None
            self._compiled, self._lowered = self._lowered.compile(), None
        return self._compiled(*arguments)


def _further_rounds(body: core.ClosedJaxpr, length: int, mesh: Mesh) -> float:
    """Return the operations of a scan on one device beyond the iteration XLA counts.

    An inner scan counts all its iterations in every iteration of this one.
    """
    inner = sum(_further_rounds(*scan, mesh) for scan in _scans(body))
    return (length - 1) * _flops(_on_each_device(body, mesh)) + length * inner


def _on_each_device(body: core.ClosedJaxpr, mesh: Mesh) -> jax.stages.Lowered:
    """Return a loop's body as a separate function that may name the mesh's axis."""
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in body.in_avals]
    axes = [tuple(axes_of_aval(a)) for a in body.in_avals]

    def rounds(*args):
        # Values that vary between devices in the program must vary here, too.
        args = [
            lax.pcast(x, names, to="varying") if names else x
            for x, names in zip(args, axes, strict=True)
        ]
        return [x[None] for x in core.jaxpr_as_fun(body)(*args)]

    mapped = jax.shard_map(
        rounds,
        mesh=mesh,
        in_specs=P(),
        out_specs=P(*mesh.axis_names),
        check_vma=any(axes),
    )
    return jax.jit(mapped).lower(*shapes)


def _scans(jaxpr) -> Iterator[tuple[core.ClosedJaxpr, int]]:
    """Yield the outermost scans of a program: body and number of iterations."""
    programs = core.Jaxpr | core.ClosedJaxpr
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if equation.primitive.name == "scan":
            yield equation.params["jaxpr"], equation.params["length"]
            continue
        values = list(equation.params.values())
        for value in jax.tree.leaves(values, is_leaf=lambda x: isinstance(x, programs)):
            if isinstance(value, programs):
                yield from _scans(value)


def _flops(lowered: jax.stages.Lowered) -> float:
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))
