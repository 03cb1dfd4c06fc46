"""The settings of every run: its seed, its devices, its optimizer and its schedule.

The training loop reads these objects. A config holds their fields; the other sections
are the experiment's.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_choice, check_integer, check_number
from nfml_jax.ops.settings import Settings, kinds_of, setting
from nfml_jax.training.durations import Schedule, to_steps

DECAYED = ("kernel*", "weights", "proxies", "triangles", "L")
"""Patterns of the names of parameters that inputs are multiplied by."""

Check = Callable[..., None]
LARGEST_SEED = 2**32 - 1
COUNT: Check = functools.partial(check_integer, low=1)
ABOVE_0: Check = functools.partial(check_number, above=0)
OR_OFF: Check = functools.partial(check_number, above=0, hint="; None is off")


@dataclass(frozen=True)
class OptimizerSettings(Settings):
    """The section "optimizer"; see `nfml_jax.training.optimizers`."""

    section = "optimizer"
    complete = True

    name: str = setting(
        "A name of optax, such as adamw, nadam, muon or schedule_free_adamw, or of "
        "`nfml_jax.training.optimizers.OPTIMIZERS`: adam, sgd, lamb, ...",
        "adam",
    )
    options: Mapping[str, Any] = setting(
        "The optimizer's arguments, such as b2 and eps of adam: "
        "--config.optimizer.options.b2=0.99",
        {},
        traced=("b1", "momentum"),
    )
    learning_rate: float = setting(
        "The learning rate after the warm-up.", 1e-3, check=ABOVE_0, traced=True
    )
    schedule: str = setting(
        "The decay of the rate: constant, cosine, linear, exponential or staircase.",
        "cosine",
    )
    warmup: str | None = setting(
        "The duration of the linear rise of the rate; None is none.", "100 steps"
    )
    weight_decay: float | None = setting(
        "The rate of decoupled weight decay; None is off.",
        None,
        check=OR_OFF,
        traced=True,
    )
    decay: tuple[str, ...] = setting(
        "Patterns of the ends or beginnings of parameters' paths: what decays. By "
        "default biases, scales and shifts do not.",
        DECAYED,
    )
    clip_norm: float | None = setting(
        "The largest global norm of a gradient; None is off.",
        None,
        check=OR_OFF,
        traced=True,
    )
    multipliers: Mapping[str, float] = setting(
        'Patterns of parameters\' paths, such as "head" or "objective/proxies", and '
        "numbers that multiply their learning rate. Class weights often want ten "
        "times the encoder's. A parameter that several patterns match has the product.",
        {"head": 1.0},
    )

    def __post_init__(self) -> None:
        """Check the fields, and each multiplier."""
        super().__post_init__()
        for pattern, multiplier in self.multipliers.items():
            ABOVE_0(None, **{f"optimizer.multipliers.{pattern}": multiplier})


@dataclass(frozen=True)
class TrainSettings(Settings):
    """The section "train": durations are counts of steps, epochs or examples."""

    section = "train"
    complete = True

    batch_size: int | None = setting(
        "The examples of a step, on all devices; None is 64, or fewer of a small set.",
        128,
    )
    total: str = setting(
        "The duration of the training; small sets train longer than ten epochs.",
        "10 epochs, at least 600 steps",
    )
    log_every: str | None = setting(
        "The interval of the log of metrics; None logs at the end only.", "64 steps"
    )
    evaluate_every: str | None = setting(
        "The interval of validations; None validates at the end only.",
        "1 epoch, at least 192 steps",
    )
    checkpoint_every: str | None = setting(
        "The interval of checkpoints; None saves at the end only.",
        "1 epoch, at least 192 steps",
    )
    steps_per_dispatch: int = setting(
        "The steps that one program makes, see benchmarks/README.md.", 32, check=COUNT
    )
    accumulate: int | None = setting(
        "The number of parts in which a device takes its share of a batch; None is as "
        "many as suit its cache.",
        1,
        check=COUNT,
    )
    average_decay: float | None = setting(
        "The decay of the parameters' moving average, a step; None keeps no average.",
        None,
        check=functools.partial(check_number, above=0, below=1, hint="; None is off"),
    )
    report: str = setting(
        "The checkpoint to evaluate: the last one, or the best in validation.",
        "last",
        check=functools.partial(check_choice, choices=("last", "best")),
    )
    patience: str | None = setting(
        'The duration without a better validation, such as "30 epochs", after which '
        "training stops; None never stops early.",
        None,
    )

    def __post_init__(self) -> None:
        """Check the fields, among them that texts are durations."""
        super().__post_init__()
        if self.batch_size is not None:
            COUNT(None, **{"train.batch_size": self.batch_size})
        for name in ("total", *INTERVALS):
            check_duration(self, f"train.{name}", getattr(self, name))

    def schedule(self, *, batch_size: int, examples: int) -> Schedule:
        """Return the durations in steps, for epochs of `examples`; see `to_steps`."""

        def steps(field):
            return to_steps(
                getattr(self, field),
                batch_size=batch_size,
                examples=examples,
                field=f"train.{field}",
            )

        return Schedule(
            total=steps("total"),
            log=steps("log_every"),
            evaluate=steps("evaluate_every"),
            checkpoint=steps("checkpoint_every"),
            patience=steps("patience"),
        )


# The most examples of a batch whose size the data decide.
LARGEST_FITTED = 64
INTERVALS = ("log_every", "evaluate_every", "checkpoint_every", "patience")


def check_duration(train: TrainSettings, field: str, duration: str | None) -> None:
    """Raise UserError for a text that is no duration, whatever the data."""
    size = LARGEST_FITTED if train.batch_size is None else train.batch_size
    to_steps(duration, batch_size=size, examples=size, field=field)


@dataclass(frozen=True)
class RunSettings(Settings):
    """The settings of every run, whatever its experiment."""

    complete = True

    name: str = setting("The name of the run in tables and folders.")
    experiment: str = setting("The kind: one of `experiments.EXPERIMENTS`.")
    seed: int = setting(
        "The seed of everything random in training, an integer below 2**32.",
        0,
        check=functools.partial(check_integer, low=0, high=LARGEST_SEED),
        traced=True,
    )
    platform: str = setting("The devices to use: auto, cpu, gpu or tpu.", "auto")
    num_devices: int | None = setting(
        "The number of devices; None takes all.", None, check=COUNT
    )
    cpu_devices: int | None = setting(
        "The number of devices into which a CPU is divided; None is one for each core.",
        1,
        check=COUNT,
    )
    optimizer: OptimizerSettings = setting(
        "How parameters are changed.", OptimizerSettings()
    )
    train: TrainSettings = setting("For how long.", TrainSettings())

    def __post_init__(self) -> None:
        """Check the fields, and the warm-up against the batches of the training."""
        super().__post_init__()
        check_duration(self.train, "optimizer.warmup", self.optimizer.warmup)

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return these settings of a config; the other sections are not read."""
        if not isinstance(values, Mapping):
            raise UserError(f"the config is {values!r}; expected a nested mapping.")
        own = [name for name, _ in kinds_of(cls) if name in values]
        return super().of({name: values[name] for name in own})
