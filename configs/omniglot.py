r"""One-shot learning on Omniglot: prototypes of characters that were never trained on.

Trained on Lake's background set (964 characters of 30 alphabets), tested on the
evaluation set of 20 other alphabets: the 20 runs of Lake et al. (2015), each 20-way
within an alphabet, and episodes of any 5 or 20 characters of the evaluation set. The
argument is a loss of `nfml_jax.losses.LOSSES` or a head of `nfml_jax.heads.MARGINS`.

    python launch.py --config=configs/omniglot.py
    python launch.py --config=configs/omniglot.py:arcface

The protocol of Vinyals et al. (2016), with their 1,200 characters to train on and
rotations as classes of their own; `data.split=characters` draws others by `data.seed`:

    python launch.py --config=configs/omniglot.py --config.data.split=vinyals \
        --config.data.rotations=True

Fifteen minutes of CPU time. 91.0 ± 2.4 % in the 20 runs with SupCon, seed 0
(results/omniglot). On the split of Vinyals, which trains on characters of the 20 runs
and so reports none of these, 97.9 and 99.5 % of 5-way episodes with one and five
examples, 93.7 and 98.3 % of 20-way ones (results/omniglot_vinyals).
"""

from configs import defaults

# Names without a recipe here take their published numbers.
RECIPES = {
    "arcface": defaults.angular_head(
        "arcface", margin=0.2, scale=20.0, warmup_steps=500
    ),
    "triplet": {"margin": 0.2, "miner": "semi_hard"},
    "contrastive": {"margin": 1.0},
    "nca": {"temperature": 0.1},
    "sup_con": {"temperature": 0.1},
}


def get_config(arg=None):
    name, _, smoke = defaults.read_argument(arg, "sup_con")
    config = defaults.named("omniglot", name, RECIPES, per_class=4)
    config.data = {
        "name": "omniglot",
        "source": "auto",
        "manual_dir": None,
        "data_dir": None,
        "split": "background",  # small1, small2, vinyals or characters
        "image_size": 28,
        "rotations": False,  # by 90, 180 and 270 degrees, as separate classes
        "validation": 5,  # of the alphabets to train on
        "seed": 0,
        "max_train": None,
        "max_test": None,
        "without": None,  # a file of `python -m nfml_jax outliers`
    }
    # Koch et al. (2015) rotate, shear, scale and shift by these amounts, for 105
    # pixels.
    config.augment = {
        "shift": 1.0,
        "rotate": 10.0,
        "scale": 0.2,
        "shear": 0.3,
        "flip": False,
    }
    config.encoder = {
        "name": "cnn",
        "features": (64, 64, 64),
        "hidden": 256,
        "embedding_size": 64,
        "embedding_norm": True,
        "dtype": "float32",
    }
    config.one_shot = {
        "ways": (5, 20),
        "shots": (1, 5),
        "queries": 15,  # of each class in an episode
        "episodes": 1000,
        "runs": True,  # of Lake et al., within alphabets
    }
    config.train.batch_size = 128
    config.train.total = "4000 steps"
    config.train.evaluate_every = "500 steps"
    config.train.checkpoint_every = "1000 steps"
    config.train.report = "best"
    config.optimizer.learning_rate = 1e-3
    config = defaults.finish(config, smoke)
    if smoke:
        config.data.max_train = config.data.max_test = 480  # 24 characters
        config.one_shot.update({"ways": (5,), "shots": (1,), "queries": 5})
        config.one_shot.episodes = 20
    return config
