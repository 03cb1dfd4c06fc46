"""Flows of images: bits per dimension of MNIST by glow, realnvp, rq_nsf or flowpp.

3,200 steps of 128 out of 54,000 images with uniform noise. The best of four validations
is reported on the test set, beside histograms, a Gaussian and compressors. Glow came to
1.246 bits per dimension (results/images_glow), for 30 minutes of CPU time.

    python launch.py --config=configs/images.py:glow
    python launch.py --config=configs/images.py:glow --config.noise.steps=2
    python launch.py --config=configs/images.py:flowpp,smoke
"""

from configs import defaults

RECIPES = {
    "glow": {"levels": 2, "steps": 8, "hidden": 64},
    "realnvp": {"levels": 2, "steps": 4, "hidden": 32, "blocks": 2},
    "rq_nsf": {"levels": 2, "steps": 6, "hidden": 64, "bins": 8, "bound": 6.0},
    "flowpp": {"levels": 2, "steps": 2, "hidden": 32, "blocks": 2, "components": 4},
}


def get_config(arg=None):
    recipe, _, smoke = defaults.read_argument(arg, "glow", choices=RECIPES)
    config = defaults.pixels(f"images_{recipe}", recipe, **RECIPES[recipe])
    return defaults.finish(config, smoke)
