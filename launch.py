"""Run a config: `python launch.py --config=configs/arcface_mnist.py`.

Any field of the config can be set on the command line (`--config.head.margin=0.3`), and
`--config=configs/X.py:smoke` shrinks any config to seconds. The same command with the
same `--workdir` resumes an interrupted run.
"""

import importlib.util
import re
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from nfml_jax.errors import UserError
from nfml_jax.names import did_you_mean, flatten

CONFIG = config_flags.DEFINE_config_file("config", help_string="The config file.")
WORKDIR = flags.DEFINE_string(
    "workdir", None, "The run directory; default: runs/<config>/<time>."
)

EXIT_CODES = {"done": 0, "interrupted": 0, "diverged": 3}
MISTAKE = 2


def main(argv) -> int:
    if len(argv) > 1:
        raise UserError(
            f"{argv[1]!r} is not a flag; write --config=FILE and --workdir=FOLDER."
        )
    logging.set_verbosity(logging.ERROR)  # JAX tells absl of every device it lacks
    # Only now: a mistake in a flag is answered before JAX takes its seconds to start.
    from experiments import make_experiment
    from nfml_jax.training.loop import train_and_evaluate
    from nfml_jax.training.terminal import Terminal

    terminal = Terminal()
    warnings.showwarning = lambda message, *_: terminal.warning(str(message))
    config = CONFIG.value.to_dict()
    default = Path("runs") / config["name"] / time.strftime("%Y%m%d-%H%M%S")
    outcome = train_and_evaluate(
        make_experiment, config, WORKDIR.value or default, terminal=terminal
    )
    return EXIT_CODES[outcome.status]


def parse_flags(argv):
    """absl's parser; what is wrong with the flags becomes one sentence."""
    try:
        if not any(re.match(r"--?help", a) for a in argv):
            check_overrides(argv, read_config(argv))
        return flags.FLAGS(argv)
    except flags.Error as problem:
        raise UserError(f"{problem}.") from None


def read_config(argv) -> ConfigDict:
    """The config that `--config=FILE[:ARGUMENT]` names, before any override."""
    given = [a.split("=", 1)[1] for a in argv if re.match(r"--?config=", a)]
    given += [b for a, b in pairwise(argv) if a == "--config"]
    if not given:
        raise UserError(
            "no config is given; write --config=configs/X.py, for example "
            "--config=configs/arcface_mnist.py."
        )
    path, *argument = given[-1].split(":", 1)
    if not (path.endswith(".py") and Path(path).is_file()):
        known = [str(p) for p in Path("configs").rglob("*.py")]
        raise UserError(
            f"there is no config file {path!r}{did_you_mean(path, known)}; configs are "
            "the .py files in configs/."
        )
    spec = importlib.util.spec_from_file_location("config_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"{path} is not a config: it has no function get_config.")
    return module.get_config(*argument)


def check_overrides(argv, config: ConfigDict) -> None:
    """Refuse `--config.X=V` with an unknown X, or a V of another type."""
    fields = flatten(config.to_dict())
    for item in argv:
        match = re.match(r"--?(no)?config\.([\w.]+)(?:=(.*))?$", item, re.DOTALL)
        if not match:
            continue
        name, text = match.group(2), match.group(3)
        if name not in fields:
            section = name.split(".")[0]
            near = [f for f in fields if f.split(".")[0] == section]
            kind, known = ("fields", near) if near else ("sections", list(config))
            raise UserError(
                f"the config has no field {name!r}{did_you_mean(name, fields)}; its "
                f"{kind} are {', '.join(known)}."
            )
        kind = type(fields[name])
        try:
            if text is not None and kind in (int, float):
                kind(text)
        except ValueError:
            expected = {int: "a whole number", float: "a number"}[kind]
            raise UserError(
                f"{name} = {text!r} is not {expected}; the config has {fields[name]!r}."
            ) from None


def run() -> None:
    """The command: exit code 2 and one sentence for what the user can mend."""
    try:
        app.run(main, flags_parser=parse_flags)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        sys.exit(MISTAKE)
    except KeyboardInterrupt:
        print("Stopped at once, without saving.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()
