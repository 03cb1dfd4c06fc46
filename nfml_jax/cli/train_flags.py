"""The flags of `nfml train`."""

from absl import flags
from ml_collections import config_flags

from nfml_jax.sweeps.executors import EXECUTORS
from nfml_jax.sweeps.programs import MODES

# `check_overrides` refuses new fields, but for those of sections that may have them.
CONFIG = config_flags.DEFINE_config_file(
    "config",
    help_string="The name of a config, or its file, with its :ARGUMENT.",
    lock_config=False,
    accept_new_attributes=True,
)
WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "The run directory; default: runs/<config>/<time>, or runs/<sweep> for a sweep.",
)
SWEEP = flags.DEFINE_string(
    "sweep",
    None,
    "A list of overrides: a name in configs/sweeps/, a file, or "
    '"FIELD=VALUE,VALUE FIELD=FIRST:END".',
)
DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "List the runs of a sweep without running them."
)
RETRY = flags.DEFINE_list("retry", [], "Statuses of runs to repeat: failed, diverged.")
VMAP = flags.DEFINE_enum(
    "vmap",
    "auto",
    MODES,
    "Run trials that differ only in numbers as one program; auto: where it is faster.",
)
EXECUTOR = flags.DEFINE_enum(
    "executor",
    None,
    list(EXECUTORS),
    "Where a sweep runs: in this process (here), in processes on this machine (local), "
    "on Ray or on SLURM; default: here, or local with --jobs.",
)
JOBS = flags.DEFINE_integer(
    "jobs",
    0,
    "Maximum number of concurrent programs in a sweep; 0 means one per GPU.",
    lower_bound=0,
)
CPUS = flags.DEFINE_float("cpus", 1, "Cores per program on Ray and SLURM.")
GPUS = flags.DEFINE_float("gpus", 0, "GPUs per program on Ray and SLURM.")
RAY_ADDRESS = flags.DEFINE_string(
    "ray_address", "", "HOST:PORT of a Ray cluster, or auto; default: start one here."
)
SLURM = flags.DEFINE_list(
    "slurm", [], "SLURM parameters, such as partition=gpu,timeout_min=60."
)
TRACK = flags.DEFINE_list(
    "track", [], "Trackers beside TensorBoard: trackio, wandb, mlflow."
)
PROFILE = flags.DEFINE_string(
    "profile", None, "Steps START:STOP to trace for TensorBoard and Perfetto."
)
REPLAY = flags.DEFINE_integer(
    "replay",
    None,
    "Replay this step of the run in --workdir operation by operation, and name the "
    "first module whose output is not finite.",
)
DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Join several processes that train one run. SLURM, TPU and MPI identify the "
    "process; elsewhere give --coordinator, --num_processes and --process_id.",
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Number of processes.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this process, from 0.")
COORDINATOR_TIMEOUT = flags.DEFINE_integer(
    "coordinator_timeout", 60, "Seconds within which all processes must start."
)
