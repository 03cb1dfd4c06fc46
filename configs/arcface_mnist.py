"""ArcFace on MNIST: the main job."""

from configs import defaults


def get_config(arg=None):
    config = defaults.margin("arcface_mnist")
    config.head = {
        "name": "arcface",
        "margin": 0.5,  # radians
        "scale": 30.0,
        "grad": "exact",  # exact or detach
        "easy": False,
        "beyond_pi": "linear",  # linear, clamp or none
        "warmup_steps": 0,
    }
    return defaults.finish(config, arg)
