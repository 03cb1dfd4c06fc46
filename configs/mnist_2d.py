"""Two-dimensional embeddings of MNIST under any margin head: the figure of all losses.

The argument is a head of `nfml_jax.heads.MARGINS`, ArcFace by default. With all 60,000
digits and ten epochs each run is a panel of the figure, which
`python -m nfml_jax draw RUNS...` makes of their directories.

    python launch.py --config=configs/mnist_2d.py:arcface
    python launch.py --config=configs/mnist_2d.py:subcenter_arcface
    python launch.py --config=configs/mnist_2d.py:softmax,smoke

A run takes ten minutes of CPU time. Test accuracy, one seed each (results/mnist_2d_*):

| head | paper | accuracy |
|---|---|--:|
| `softmax` | the baseline | 98.38 % |
| `l2_softmax` | Ranjan et al. 2017 | 96.03 % |
| `normface` | Wang et al. 2017 | 97.00 % |
| `l_softmax` | Liu et al. 2016 | 98.62 % |
| `sphereface` (A-Softmax) | Liu et al. 2017 | 98.50 % |
| `sphereface_r` | Liu et al. 2022 | 97.53 % |
| `cosface` | Wang et al. 2018 | 98.05 % |
| `arcface` | Deng et al. 2019 | 97.68 % |
| `combined` | Deng et al. 2019, eq. 4 | 97.90 % |

To compare heads with other losses, take configs/mnist_losses.py: it gives all of them
the same smaller budget, in any number of dimensions.
"""

from configs import defaults

SCALE = {"scale": 24.0}
WARMED = {"warmup_steps": 800}
ARC = SCALE | {"margin": 0.2} | WARMED
COS = SCALE | {"margin": 0.1} | WARMED  # the margin must stay below 0.19
# All options of additive angular margins, see configs.defaults.angular_head.
ANGULAR = {"grad": "exact", "easy": False, "beyond_pi": "linear"} | WARMED

# Options on a circle of ten classes. All others, and heads that aren't listed, have
# their defaults.
HEADS = {
    "softmax": {},
    "l2_softmax": SCALE,
    "normface": SCALE,
    # λ: from 100, when the margin hardly counts, to 0.2 after 4,000 steps.
    "l_softmax": {"margin": 2, "grad": "exact", "annealing": defaults.annealing()},
    # λ of the released training: from 1000 to 5, after 1,660 steps.
    "sphereface": {"margin": 4, "grad": "exact"}
    | {"annealing": defaults.annealing(1000.0, minimum=5.0)},
    "sphereface_r": {"margin": 1.4, "scale": 24.0, "grad": "detach"} | WARMED,
    "cosface": {"margin": 0.1, "scale": 24.0, "grad": "exact"} | WARMED,
    "arcface": {"margin": 0.2, "scale": 24.0} | ANGULAR,
    "combined": {"margin": (1.0, 0.1, 0.05), "scale": 24.0} | ANGULAR,
    "focal": {"gamma": 2.0},
    "coco": {},
    "adacos": {"dynamic": True},
    # On a circle examples pass other classes on their way to their own. The paper's
    # scale and sharpness hold them there, whatever the start (in three dimensions they
    # can go around); these two let them pass. The margin must stay below 0.095.
    "sphereface2": {"scale": 4.0, "margin": 0.05, "sharpness": 1},
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
    | WARMED,
    "elastic_arcface": ARC | {"deviation": 0.02, "plus": False},
    "elastic_cosface": COS | {"deviation": 0.01, "plus": False},
}


def get_config(arg=None):
    name, _, smoke = defaults.read_argument(arg, "arcface")
    if name not in HEADS:
        from nfml_jax.heads import MARGINS  # imported only now, since it takes seconds

        defaults.read_argument(arg, "arcface", choices=MARGINS)
    config = defaults.mnist_2d(f"mnist_2d_{name}")
    config.head = {"name": name} | HEADS.get(name, {})
    return defaults.finish(config, smoke)
