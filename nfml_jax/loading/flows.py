"""Trained flows, restored from their run directories, in the units of their data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, logsumexp

from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.functions import class_log_probs, draw
from nfml_jax.flows.recipes import make_flow
from nfml_jax.loading.pretrained import Shareable
from nfml_jax.loading.run_rows import Rows, read_rows, rows_of
from nfml_jax.loading.settings import FlowSettings
from nfml_jax.ops.batches import in_batches

# Maximum number of rows in one pass, since activations dominate the memory.
CHUNK = 1024

# Standard deviations from the mean at which a flow may overflow.
FAR = 1e6


@dataclass(frozen=True, repr=False)
class TrainedFlow(Shareable):
    """Pure, jitted functions of rows `[N, event_dim]` in their original units.

    A row was standardized as (original - `shift`) / `scale` before the flow saw it. A
    conditional flow has a `context`, and takes one for each row: numbers `[N, C]` in
    their original units, or class numbers `[N]`. Without them, a class-conditional flow
    is the mixture of its classes.

    `columns` are the names of a row's numbers. `data` has the run's options of
    `nfml_jax.data.vectors.load.load_vectors`, and `digest` is that of those rows.
    """

    flow: Flow
    variables: Any
    shift: np.ndarray
    scale: np.ndarray
    step: int
    context: Context | None = None
    columns: tuple[str, ...] = ()
    data: Mapping | None = None
    digest: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; empty if the flow isn't class-conditional."""
        return tuple(self.context.classes) if self.context else ()

    def log_prob(self, x, context=None) -> np.ndarray:
        """Return log-densities `[N]` in nats, computed in chunks of `CHUNK` rows."""
        if context is None and self.classes:
            return np.asarray(logsumexp(self._log_joint(x), axis=1))
        x = self._checked(x)
        return self._of_rows(self._log_prob, x, *self._given(context, len(x)))

    def posterior(self, x) -> np.ndarray:
        """Return p(class | x) `[N, classes]` of a class-conditional flow."""
        if not self.classes:
            raise UserError(
                "the flow isn't class-conditional, so it cannot classify; "
                "train one with configs/conditional_mnist.py or data.labels."
            )
        return np.exp(log_softmax(self._log_joint(x), axis=1))

    def sample(self, seed: int, n: int, context=None) -> np.ndarray:
        """Return `n` draws `[n, event_dim]`; a longer draw begins with the shorter one.

        `context` is one for all draws, or one for each.
        """
        if context is None and self.classes:
            assert self.context is not None  # it has the names of the classes
            prior = np.asarray(self.context.prior)
            context = np.random.default_rng(seed).choice(len(prior), n, p=prior)
        elif context is not None and np.ndim(context) < (1 if self.classes else 2):
            context = np.repeat(np.asarray(context)[None], n, axis=0)
        rows = np.arange(n, dtype=np.uint32), *self._given(context, n)

        def originals(*part):
            draws = np.asarray(self._sample(self.variables, seed, *part))
            return draws * self.scale + self.shift

        return in_batches(originals, CHUNK, *rows)

    def rows(self, part: str = "test") -> Rows:
        """Return the rows of a part as the run had them, in their original units.

        They are read again from the source in the run's config.

        Args:
          part: "train", "validation", "test", or "outside" for those of classes that
            were held out.

        Raises:
          UserError: if there is no such part, or the data have changed.
        """
        return rows_of(self.load_rows(), part)

    def load_rows(self, **options):
        """Return the run's data, `LoadedVectors`, with some options changed."""
        return read_rows(self.data, self.digest, **options)

    def _log_joint(self, x):
        """Return log p(x, class) `[N, classes]`."""
        assert self.context is not None  # it has the names of the classes
        x = self._checked(x)
        return self._of_rows(self._class_log_probs, x) + np.log(self.context.prior)

    def _checked(self, x) -> np.ndarray:
        """Return finite rows of the flow's dimension; UserError for any others."""
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != len(self.scale):
            raise UserError(
                f"rows have shape {list(x.shape)}; this flow takes "
                f"[N, {len(self.scale)}]."
            )
        bad = np.flatnonzero(in_batches(_not_finite, CHUNK, x))
        if len(bad):
            raise UserError(
                f"{len(bad)} of {len(x)} rows hold NaN or infinity (the first is row "
                f"{bad[0]}); remove them."
            )
        return x

    def _of_rows(self, log_probs, x, *given):
        """Return log-densities of rows in their original units.

        Rows are standardized one chunk at a time: in float64, all of them at once would
        take several times the memory of the rows themselves.
        """
        log_det = np.log(self.scale).sum()

        def of_chunk(x, *given):
            with np.errstate(over="ignore"):
                x = ((x - self.shift) / self.scale).astype(np.float32)
            held = np.isfinite(x)
            found = np.asarray(
                log_probs(self.variables, np.where(held, x, FAR), *given)
            )
            # A row that float32 cannot hold, or that overflows in the flow, has no
            # density.
            shape = (-1,) + (1,) * (found.ndim - 1)
            lost = ~held.all(axis=1).reshape(shape)
            far = (np.abs(x) > FAR).any(axis=1).reshape(shape)
            none = lost | (far & np.isnan(found))
            return np.where(none, -np.inf, found) - log_det

        return in_batches(of_chunk, CHUNK, x, *given)

    def _given(self, context, count) -> tuple[np.ndarray, ...]:
        """Return the arguments that follow rows in a call of the flow."""
        if self.context is None and context is None:
            return ()
        if self.context is None:
            raise UserError("the flow is not conditional; leave the context out.")
        if context is None:
            raise UserError(
                f"the flow is conditional on {', '.join(self.context.columns)}; give "
                "a context for each row."
            )
        given = self.context.encode(context)
        if len(given) != count:
            raise UserError(
                f"there are {len(given)} contexts for {count} rows; give one for each."
            )
        return (given,)

    @cached_property
    def _log_prob(self):
        return jax.jit(self.flow.apply)

    @cached_property
    def _class_log_probs(self):
        classes = len(self.classes)
        return jax.jit(lambda v, x: class_log_probs(self.flow, v, x, classes))

    @cached_property
    def _sample(self):
        def sample(variables, seed, numbers, *given):
            return draw(self.flow, variables, seed, numbers, *given)[0]

        return jax.jit(sample)


def _not_finite(rows):
    return ~np.isfinite(rows).all(axis=1)


def load_flow(config: Mapping, variables, meta: Mapping, result) -> TrainedFlow:
    """Load a run of the density experiments; see `nfml_jax.load`."""
    model = meta["model"]
    context = Context(**model["context"]) if model.get("context") else None
    return TrainedFlow(
        flow=make_flow(
            event_dim=model["event_dim"],
            context_dim=context.size if context else 0,
            **FlowSettings.of(config["flow"]).to_config(),
        ),
        variables=jax.tree.map(jnp.asarray, variables),
        shift=np.asarray(model["shift"]),
        scale=np.asarray(model["scale"]),
        step=meta["step"],
        context=context,
        columns=tuple(model.get("columns", ())),
        data=config.get("data"),
        digest=result["data"].get("digest", "") if result else "",
    )
