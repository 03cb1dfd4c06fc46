r"""Flows of images: bits per dimension of MNIST, or of another set, by a recipe.

3,200 steps of 128 out of 54,000 images with uniform noise. The best of four validations
is reported on the test set, beside histograms, a Gaussian and compressors. Glow with
flow.max_log_scale=5 came to 1.246 bits per dimension (results/images_glow), for 30
minutes of CPU time.

`flagship` is a wider pixel_cnn with learned noise: 499,480 parameters, trained for 20
epochs in batches of 32, an hour and a half on two cores. It came to 0.978 bits per
dimension (results/images_flagship); results/images_pilots.md has the pilots that chose
it. The same `--workdir` resumes it.

    python launch.py --config=configs/images.py:glow
    python launch.py --config=configs/images.py:glow --config.noise.steps=2
    python launch.py --config=configs/images.py:residual,fashion_mnist
    python launch.py --config=configs/images.py:glow,image_folder \
        --config.data.root=photos/ --config.data.image_size=32
    python launch.py --config=configs/images.py:flagship,mnist --workdir=runs/flagship
    python launch.py --config=configs/images.py:glow --config.class_conditional=True
    python launch.py --config=configs/images.py:glow --config.flow.max_log_scale=1
    python launch.py --config=configs/images.py:flowpp,smoke

With class_conditional the flow is given the class of an image, and the report has the
bits of the mixture of classes and a classifier by Bayes' rule. It evaluates every test
image once for each class. flow.max_log_scale bounds the log-scale of a layer. Scales
multiply over layers: if a flow diverges, set a smaller one.
"""

from configs import defaults

RECIPES = {
    "glow": {"levels": 2, "steps": 8, "hidden": 64, "max_log_scale": 2.0},
    "realnvp": {
        "levels": 2,
        "steps": 4,
        "hidden": 32,
        "blocks": 2,
        "max_log_scale": 2.0,
    },
    "rq_nsf": {"levels": 2, "steps": 6, "hidden": 64, "bins": 8, "bound": 6.0},
    "flowpp": {
        "levels": 2,
        "steps": 2,
        "hidden": 32,
        "blocks": 2,
        "components": 4,
        "max_log_scale": 5.0,
    },
    "nice": {"levels": 2, "steps": 8, "hidden": 64},
    "maf": {"levels": 2, "steps": 4, "hidden": (32, 32), "max_log_scale": 2.0},
    "pixel_cnn": {"hidden": 64, "blocks": 3, "components": 8, "max_log_scale": 5.0},
    "residual": {"levels": 2, "steps": 4, "hidden": (32, 32)},
    "ffjord": {"levels": 2, "steps": 1, "hidden": 32},
    "planar": {"layers": 32},
    "sylvester": {"layers": 4, "rank": 32},
}
# Their log-determinants are estimated, of which several draws would be no bound.
ESTIMATED = ("residual", "ffjord")
FLAGSHIP = {"hidden": 128, "blocks": 4, "components": 10, "max_log_scale": 5.0}


def get_config(arg=None):
    data, arg = defaults.take_pixels(arg, "mnist")
    choices = {**RECIPES, "flagship": FLAGSHIP}
    name, _, smoke = defaults.read_argument(arg, "glow", choices=choices)
    recipe = "pixel_cnn" if name == "flagship" else name
    config = defaults.pixels(f"images_{name}", recipe, **choices[name])
    defaults.show_pixels(config, data)
    if name in ESTIMATED:
        config.report.importance = 1
    if name == "flagship":
        _flagship(config)
    return defaults.finish(config, smoke)


def _flagship(config):
    config.noise.steps = 2
    config.optimizer.clip_norm = 1.0
    config.optimizer.warmup = "600 steps"
    config.train.batch_size = 32
    config.train.total = "34000 steps"
    config.train.log_every = "200 steps"
    config.train.evaluate_every = "3400 steps"
    config.train.checkpoint_every = "1000 steps"
    config.train.average_decay = 0.999
    config.train.report = "last"
