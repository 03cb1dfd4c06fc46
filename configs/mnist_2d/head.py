"""Any of the later heads on MNIST in two dimensions, by its name.

Panels of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. Ten minutes of CPU time with all 60,000 digits, as softmax.py.

    python launch.py --config=configs/mnist_2d/head.py:curricularface
    python launch.py --config=configs/mnist_2d/head.py:subcenter_arcface,smoke
"""

from pathlib import Path

from configs import defaults
from nfml_jax.errors import UserError

SCALE = {"scale": "24"}
ARC = SCALE | {"margin": 0.2, "warmup_steps": 800}
COS = SCALE | {"margin": 0.1, "warmup_steps": 800}

# Options on a circle of ten classes. All others, and heads that aren't listed, have
# their defaults.
HEADS = {
    "focal": {"gamma": 2.0},
    "coco": {},
    "adacos": {"dynamic": True},
    # On a circle examples pass other classes on their way to their own. The paper's
    # scale and sharpness hold them there, whatever the start (in three dimensions they
    # can go around); these two let them pass. The margin must stay below 0.095.
    "sphereface2": {"scale": "4", "margin": 0.05, "sharpness": 1},
    "circle": SCALE | {"margin": 0.7},  # must stay above 0.57
    "subcenter_arcface": ARC | {"subcenters": 3, "pooling": "max"},
    "uniformface": COS | {"repulsion": 1.0},
    "curricularface": ARC,
    "mv_arcface": ARC | {"t": 0.12, "reweighting": "adaptive"},
    "mv_cosface": COS | {"t": 0.12, "reweighting": "adaptive"},
    "arcnegface": ARC | {"peak": 1.0},  # must stay below 1.11
    "adaface": COS | {"concentration": 0.333, "momentum": 0.99},
    "magface": SCALE
    | {"margin": (0.1, 0.3), "low_norm": 1.0, "high_norm": 20.0, "pull": 1.0}
    | {"warmup_steps": 800},
    "elastic_arcface": ARC | {"deviation": 0.02, "plus": False},
    "elastic_cosface": COS | {"deviation": 0.01, "plus": False},
}


def get_config(arg=None):
    name, _, smoke = defaults.read_argument(arg, "subcenter_arcface")
    if name not in HEADS and not _is_new(name):
        raise UserError(
            f"configs/mnist_2d/head.py has no {name!r}; expected one of "
            f"{', '.join(HEADS)} (the other heads have files of their own)."
        )
    config = defaults.mnist_2d(f"mnist_2d_{name}")
    config.head = {"name": name, **HEADS.get(name, {})}
    return defaults.finish(config, smoke)


def _is_new(name):
    """Return whether a head has neither options here nor a file of its own."""
    from nfml_jax.heads import MARGINS  # imported only now, for it takes seconds

    return name in MARGINS and not (Path(__file__).parent / f"{name}.py").exists()
