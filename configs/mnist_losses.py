r"""Every loss on MNIST, with one encoder, one budget and one embedding size for all.

The argument names the loss and the embedding size, and may shrink the run:

    python launch.py --config=configs/mnist_losses.py:triplet
    python launch.py --config=configs/mnist_losses.py:arcface,2
    python launch.py --config=configs/mnist_losses.py:contrastive,2,smoke

Names are those of `nfml_jax.heads.MARGINS` and `nfml_jax.losses.LOSSES`; sizes are 64
unless given. Names without a recipe here take their published numbers, which for
margins of other heads are too wide for two dimensions: see configs/mnist_2d.py,
which also trains longer.
Open set, trained on 0 to 5 and tested on 6 to 9:

    python launch.py --config=configs/mnist_losses.py:triplet \
        --config.data.classes="('0','1','2','3','4','5')" \
        --config.data.held_out="('6','7','8','9')" --config.sampler.per_class=20

Three epochs, about two minutes of CPU time a run; the results are in
results/mnist_losses.
"""

from configs import defaults

WARMED = {"warmup_steps": 400}

# These leave room for ten classes, with a scale for that number. They were chosen among
# three values by configs/sweeps/mnist_margins.py, except l2_softmax, sphereface_r and
# combined.
ROOMY = {
    "l2_softmax": {"scale": 30.0},
    "normface": {"scale": 16.0},
    "l_softmax": {"margin": 2, "annealing": defaults.annealing()},
    "sphereface": {"margin": 4, "annealing": defaults.annealing(minimum=5.0)},
    "sphereface_r": {"margin": 1.7, "scale": 30.0} | WARMED,
    "cosface": {"margin": 0.35, "scale": 30.0} | WARMED,
    "arcface": {"margin": 0.5, "scale": 30.0} | WARMED,
    "combined": {"margin": (1.0, 0.3, 0.2), "scale": 30.0} | WARMED,
    "contrastive": {"margin": 1.0},
    "triplet": {"margin": 0.2, "miner": "semi_hard"},
    "center": {"weight": 0.1},
    "multi_similarity": {"base": 0.75},
    "sup_con": {"temperature": 0.2},
}

# In two or three dimensions there is little room between them. Chosen likewise, in two;
# NormFace, L-Softmax and SupCon as above.
TIGHT = ROOMY | {
    "l2_softmax": {"scale": 24.0},
    "sphereface": ROOMY["sphereface"] | {"margin": 2},
    "sphereface_r": {"margin": 1.4, "scale": 24.0} | WARMED,
    "cosface": {"margin": 0.2, "scale": 24.0} | WARMED,
    "arcface": {"margin": 0.2, "scale": 24.0} | WARMED,
    "combined": {"margin": (1.0, 0.1, 0.05), "scale": 24.0} | WARMED,
    "contrastive": {"margin": 1.4},
    "triplet": {"margin": 0.5, "miner": "semi_hard"},
    "center": {"weight": 0.01},
    "multi_similarity": {"base": 1.0},
}


def for_size(size: int, roomy: dict, tight: dict) -> dict:
    """Return the options for embeddings of this size."""
    return tight if size < 4 else roomy


def get_config(arg=None):
    name, size, smoke = defaults.read_argument(arg, "triplet", 64)
    recipes = for_size(size, ROOMY, TIGHT)
    config = defaults.named(f"mnist_{size}d", name, recipes, per_class=12)
    config.encoder.features = (16, 32, 64)
    config.encoder.embedding_size = size
    config.train.batch_size = 120  # ten classes with twelve images each
    config.train.total = "3 epochs, at least 600 steps"
    config.train.steps_per_dispatch = 24
    if size == 2:
        config.augment = {"shift": 0.0, "rotate": 0.0, "scale": 0.0}
        config.optimizer.learning_rate = 2e-3
    return defaults.finish(config, smoke)
