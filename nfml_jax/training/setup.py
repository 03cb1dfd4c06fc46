"""All parts of a run, made from its config before anything is written."""

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax

from nfml_jax.data.stored import StoredImages
from nfml_jax.distributed.processes import is_single_process, local_devices
from nfml_jax.errors import UserError
from nfml_jax.ops.devices import Device
from nfml_jax.training.devices import check_accumulation, check_division, parts_of_share
from nfml_jax.training.durations import to_steps
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.feeds import EmptyFeed, Feed, ResidentFeed, fitted_batch
from nfml_jax.training.optimizer_names import SCHEDULE_FREE
from nfml_jax.training.optimizers import check_shares, make_optimizer
from nfml_jax.training.parameter_patterns import check_patterns
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.schedules import make_schedule
from nfml_jax.training.settings import LARGEST_FITTED, RunSettings
from nfml_jax.training.sharding import is_replicated, make_mesh, place
from nfml_jax.training.step import (
    TrainState,
    compile_dispatch,
    init_state,
    make_step,
    make_steps,
)

PyTree = Any


class Setup:
    """The experiment, its data on the devices, its schedule and its optimizer.

    Raises UserError for parts that do not fit together.
    """

    def __init__(
        self,
        make_experiment: Callable[[dict], Experiment],
        config: dict,
        devices: list[Device],
    ):
        self.began = time.time(), time.process_time()
        self.config, self.settings = config, RunSettings.of(config)
        train = self.settings.train
        self.mesh = make_mesh(devices)
        # Each of several processes evaluates on its own.
        self.own_mesh = (
            self.mesh if is_single_process() else make_mesh(local_devices(devices))
        )
        if train.batch_size is not None:
            check_division(train, self.mesh.size)
        self.experiment = make_experiment(config)
        self.settings = with_batch(self.settings, self._fitted_batch)
        train = self.settings.train
        check_accumulation(train, self.experiment.whole_batch)
        self.compiled = jax.jit
        if train.report == "best" and self.experiment.best is None:
            raise UserError(
                "train.report = 'best' needs validation examples to choose by; set "
                "data.validation, or train.report = 'last'."
            )
        self._init = jax.jit(self.experiment.init)
        self._shapes = self._init.eval_shape(self._purpose("init"))
        self.feed = self._feed()
        self._size = {
            "batch_size": self.feed.batch_size,
            "examples": self.feed.examples,
        }
        schedule = train.schedule(**self._size)
        if schedule.patience and not (self.experiment.best and schedule.evaluate):
            raise UserError(
                f"train.patience = {train.patience!r} needs validations to "
                "compare; set data.validation and train.evaluate_every, or "
                "train.patience = None."
            )
        self.schedule = dataclasses.replace(schedule, window=self.feed.window)
        self._make_optimizer()
        self._check_optimizer()

    def with_config(self, config: dict, compiled: Callable = jax.jit) -> "Setup":
        """Return a setup of the same data and devices with other numbers in the config.

        The numbers may be traced. The feed keeps its order; `compiled` compiles the
        functions that the experiment evaluates.
        """
        other = copy.copy(self)
        experiment = self.experiment.with_config(config)
        assert experiment is not None  # or its runs would not train as one program
        settings = with_batch(RunSettings.of(config), lambda: self.feed.batch_size)
        other.config, other.settings = config, settings
        other.experiment = experiment
        other.compiled = compiled
        other._init = compiled(other.experiment.init)
        other._make_optimizer()
        return other

    def _purpose(self, purpose: str) -> jax.Array:
        return purpose_key(root_key(self.settings.seed), purpose)

    def _make_optimizer(self):
        settings = self.settings.optimizer
        warmup = to_steps(settings.warmup, field="optimizer.warmup", **self._size)
        self.learning_rate = make_schedule(
            settings.schedule,
            settings.learning_rate,
            steps=self.schedule.total,
            warmup_steps=warmup,
        )
        self.optimizer = make_optimizer(self.learning_rate, settings)

    def _check_optimizer(self):
        """Raise UserError for an optimizer that the parameters don't suit."""
        settings = self.settings.optimizer
        check_patterns(self._shapes["params"], settings)
        if self.is_split:
            check_shares(self.learning_rate, settings)
        averages = self.settings.train.average_decay is not None
        if averages and settings.name in SCHEDULE_FREE:
            raise UserError(
                f"optimizer.name = {settings.name!r} averages the parameters by "
                "itself; set train.average_decay = None."
            )

    def _fitted_batch(self) -> int:
        """Return the batch size that follows from the data."""
        arrays, train = self.experiment.train_arrays, self.settings.train
        if arrays is None:
            return LARGEST_FITTED
        return fitted_batch(
            arrays,
            self.experiment.sampler,
            most=LARGEST_FITTED,
            multiple=self.mesh.size * (train.accumulate or 1),
        )

    def _feed(self) -> Feed:
        arrays, train = self.experiment.train_arrays, self.settings.train
        batch_size, ahead = train.batch_size, train.steps_per_dispatch
        assert batch_size is not None  # `with_batch`
        if arrays is None:
            return EmptyFeed(batch_size)
        key = self.order_key()
        sampler = self.experiment.sampler
        parts = arrays, batch_size, key, self.mesh
        stored = [a for a in jax.tree.leaves(arrays) if isinstance(a, StoredImages)]
        if stored:
            from nfml_jax.training.streams import StreamedFeed

            workers = stored[0].workers
            return StreamedFeed(*parts, ahead=ahead, sampler=sampler, workers=workers)
        return ResidentFeed(*parts, ahead=ahead, sampler=sampler)

    @property
    def parts(self) -> int:
        """The number of parts into which a device divides its share of a batch."""
        whole = self.experiment.whole_batch
        return 1 if whole else parts_of_share(self.settings.train, self.mesh)

    @property
    def parameters(self) -> int:
        """The number of parameters that are trained."""
        leaves = jax.tree.leaves(self._shapes["params"])
        return sum(math.prod(leaf.shape) for leaf in leaves)

    def order_key(self) -> jax.Array:
        """The key of the order of the examples."""
        return self._purpose("order")

    def loss_key(self) -> jax.Array:
        """The key of the draws of the loss."""
        return self._purpose("loss")

    def state(self) -> TrainState:
        """Return the state at step 0, placed on the devices."""
        average = self.settings.train.average_decay is not None

        @jax.jit  # one program, rather than one for each shape of a parameter
        def begin(variables):
            return init_state(variables, self.optimizer, average=average)

        return place(begin(self._init(self._purpose("init"))), self.mesh)

    def steps(self) -> Callable:
        """Return the training steps of a dispatch; see `training.step.make_steps`."""
        train = self.settings.train
        step = make_step(
            self.experiment.loss,
            self.optimizer,
            key=self.loss_key(),
            average_decay=train.average_decay,
            accumulate=self.parts,
        )
        return make_steps(step, self.feed.take, train.steps_per_dispatch)

    def dispatch(self) -> Callable:
        """Return the compiled steps; see `nfml_jax.training.step.make_dispatch`."""
        return compile_dispatch(
            self.steps(),
            self.mesh,
            checked=self.experiment.checked,
            chunk=self.feed.spec,
        )

    @property
    def is_split(self) -> bool:
        """True if each of several devices has a share of a parameter."""
        return self.mesh.size > 1 and not is_replicated(self._shapes)

    def data(self, step: int) -> tuple[PyTree, PyTree]:
        """Return the feed's chunk and its data for a dispatch that starts at `step`."""
        return self.feed.chunk(step), self.feed.resident

    def part(self, tree: PyTree, number: int) -> PyTree:
        """Return a run's part of a state or of metrics; a single run's part is all."""
        return tree


def with_batch(settings: RunSettings, size: Callable[[], int]) -> RunSettings:
    """Return the settings with a batch size: `size()` if they have none."""
    if settings.train.batch_size is not None:
        return settings
    train = dataclasses.replace(settings.train, batch_size=size())
    return dataclasses.replace(settings, train=train)
