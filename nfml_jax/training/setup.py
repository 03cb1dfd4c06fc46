"""What a config makes: every part of a run, put together before anything is written."""

import math
import time
from collections.abc import Callable

import jax

from nfml_jax.errors import UserError
from nfml_jax.training.checks import check_division
from nfml_jax.training.durations import Schedule, to_steps
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.feeds import EmptyFeed, ResidentFeed
from nfml_jax.training.optimizers import make_optimizer, make_schedule
from nfml_jax.training.provenance import device_description
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.sharding import make_mesh, replicate
from nfml_jax.training.step import TrainState, init_state, make_dispatch, make_step


class Setup:
    """The experiment, its data on the devices, its schedule and its optimiser.

    UserError for what doesn't fit together.
    """

    def __init__(
        self,
        make_experiment: Callable[[dict], Experiment],
        config: dict,
        devices: list[jax.Device],
    ):
        self.began = time.time(), time.process_time()
        self.config, self.settings = config, config["train"]
        self.mesh = make_mesh(devices)
        check_division(self.settings, self.mesh.size)
        self.experiment = make_experiment(config)
        if self.settings["report"] == "best" and self.experiment.best is None:
            raise UserError(
                "train.report = 'best' needs validation examples to choose by; set "
                "data.validation, or train.report = 'last'."
            )
        self.key = root_key(config["seed"])
        self._init = jax.jit(self.experiment.init)
        self._shapes = self._init.eval_shape(purpose_key(self.key, "init"))
        self.feed = self._feed()
        size = {"batch_size": self.feed.batch_size, "examples": self.feed.examples}
        self.schedule = Schedule.from_settings(self.settings, **size)
        optimizer = dict(config["optimizer"])
        warmup = to_steps(optimizer.pop("warmup"), field="optimizer.warmup", **size)
        self.learning_rate = make_schedule(
            optimizer.pop("schedule"),
            optimizer.pop("learning_rate"),
            steps=self.schedule.total,
            warmup_steps=warmup,
        )
        self.optimizer = make_optimizer(self.learning_rate, **optimizer)

    def _feed(self) -> EmptyFeed | ResidentFeed:
        arrays, batch_size = self.experiment.train_arrays, self.settings["batch_size"]
        if arrays is None:
            return EmptyFeed(batch_size)
        key = purpose_key(self.key, "order")
        ahead = self.settings["steps_per_dispatch"]
        sampler = getattr(self.experiment, "sampler", None)
        return ResidentFeed(
            arrays, batch_size, key, self.mesh, ahead=ahead, sampler=sampler
        )

    def state(self) -> TrainState:
        """The state at step 0, placed on the devices."""
        variables = self._init(purpose_key(self.key, "init"))
        average = self.settings["average_decay"] > 0
        return replicate(
            init_state(variables, self.optimizer, average=average), self.mesh
        )

    def dispatch(self) -> Callable:
        """The compiled training steps; see `nfml_jax.training.step.make_dispatch`."""
        step = make_step(
            self.experiment.loss,
            self.optimizer,
            key=purpose_key(self.key, "loss"),
            average_decay=self.settings["average_decay"],
            accumulate=self.settings["accumulate"],
        )
        most = self.settings["steps_per_dispatch"]
        checked = getattr(self.experiment, "checked", True)
        return make_dispatch(step, self.feed.take, self.mesh, most, checked=checked)

    def devices(self) -> str:
        return device_description(list(self.mesh.devices.flat))

    def describe(self) -> dict[str, str]:
        """Rows of the run's header."""
        shapes = [x.shape for x in jax.tree.leaves(self._shapes["params"])]
        total, optimizer = self.schedule.total, self.config["optimizer"]
        epochs = (
            f" ({total / self.feed.steps_per_epoch:.4g} epochs)"
            if self.feed.examples
            else ""
        )
        return self.experiment.describe() | {
            "parameters": f"{sum(map(math.prod, shapes)):,}",
            "training": f"{total:,} steps of {self.feed.batch_size}{epochs}, "
            f"{optimizer['name']}, "
            f"rate {optimizer['learning_rate']:g}, {optimizer['schedule']}",
            "devices": self.devices(),
        }
