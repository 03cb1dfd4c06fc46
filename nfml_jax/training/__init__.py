"""The training loop and what it needs.

Three files show how a batch becomes a step: `loop` (the run from its first step to its
result), `step` (one optimizer step, and several in one program) and `sharding` (the
step mapped over devices). An experiment implements `Experiment`:

    from nfml_jax.training import train_and_evaluate

    outcome = train_and_evaluate(MyExperiment, config, "runs/mine")

`fit` is a loop without files, for a model and data of one's own that fit on the device.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "checkpoints": ["Checkpoints"],
        "durations": ["Schedule", "to_steps"],
        "endings": ["Outcome"],
        "experiment": ["Apply", "Batch", "Experiment", "Report"],
        "feeds": ["EmptyFeed", "Feed", "ResidentFeed"],
        "fitting": ["fit"],
        "loop": ["Program", "train_and_evaluate"],
        "optimizers": ["OPTIMIZERS", "make_optimizer"],
        "schedules": ["SCHEDULES", "make_schedule"],
        "replay": ["Replay"],
        "run": ["Run"],
        "setup": ["Setup"],
        "sharding": ["AXIS", "make_mesh", "per_device", "value_and_grad"],
        "step": ["TrainState", "make_step"],
    },
)
