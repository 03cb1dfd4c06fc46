r"""Flows of images at one budget: the rows of results/images_table.

Each flow trains for the same CPU time, three minutes, in batches of 32. The steps that
these make are computed from the CPU seconds of a step, which
`python -m benchmarks.step_seconds configs/images_table.py:glow` measures; compilation
and evaluation come on top, two to four minutes. Networks are narrow, so that a flow
sees as many images as it can. A number after the name is another budget in minutes:
its steps follow. Nothing was tuned: learning rate, schedule and average are those of
`configs/images.py`.

    python launch.py --config=configs/images_table.py:glow,mnist
    python launch.py --config=configs/images_table.py:flowpp,fashion_mnist
    python launch.py --config=configs/images_table.py:glow_vardeq,30
    python launch.py --config=configs/images_table.py:glow_vardeq,lfw
    python launch.py --config=configs/images_table.py:maf,smoke

Every row has one draw of noise for each image, since the log-determinants of residual
and continuous flows are estimated. So all numbers are bounds of the same kind of
looseness, above those of eight draws.

Other sets get steps in proportion to their pixels, and a tenth of their people,
photographs or alphabets validates.
"""

from configs import defaults, images

MINUTES = 3

GLOW = images.RECIPES["glow"] | {"steps": 6}
RECIPES = {
    "glow": ("glow", GLOW),
    "glow_vardeq": ("glow", GLOW),
    "realnvp": (
        "realnvp",
        images.RECIPES["realnvp"] | {"steps": 3, "hidden": 24, "blocks": 1},
    ),
    "rq_nsf": ("rq_nsf", images.RECIPES["rq_nsf"] | {"steps": 4, "hidden": 32}),
    "flowpp": (
        "flowpp",
        images.RECIPES["flowpp"]
        | {
            "steps": (3, 3),
            "net": ("glow", "gated"),
            "hidden": (48, 48),
            "blocks": (1, 1),
            "last_size": 1,
        },
    ),
    "maf": ("maf", images.RECIPES["maf"] | {"steps": 3}),
    "pixel_cnn": ("pixel_cnn", images.RECIPES["pixel_cnn"]),
    "pixel_cnn_vardeq": ("pixel_cnn", images.RECIPES["pixel_cnn"]),
    "residual": ("residual", images.RECIPES["residual"]),
    "ffjord": ("ffjord", images.RECIPES["ffjord"]),
}

# CPU seconds of a step of 32 images, on two cores of an AMD EPYC beside other programs.
# Those of pixel_cnn are of an Intel Xeon, times the 1.33 that other rows take longer.
SECONDS = {
    "glow": 0.09,
    "glow_vardeq": 0.13,
    "realnvp": 0.25,
    "rq_nsf": 0.17,
    "flowpp": 0.13,
    "maf": 0.2,
    "pixel_cnn": 0.1,
    "pixel_cnn_vardeq": 0.14,
    "residual": 0.17,
    "ffjord": 0.45,
}

# Sides of images of other sizes than MNIST's.
SIDES = {"lfw": 32, "bsds300_crops": 32}

VALIDATIONS = 6


def get_config(arg=None):
    data, arg = defaults.take_pixels(arg, "mnist")
    name, minutes, smoke = defaults.read_argument(arg, "glow", MINUTES, choices=RECIPES)
    recipe, options = RECIPES[name]
    config = defaults.pixels(f"table_{name}", recipe, **options)
    defaults.show_pixels(config, data)
    config.data.validation = 0.02 if data in ("mnist", "fashion_mnist") else 0.1
    config.report.importance = 1
    if name.endswith("_vardeq"):
        config.noise.steps = 2
    seconds = SECONDS[name] * (SIDES.get(data, 28) / 28) ** 2
    steps = round(60 * minutes / seconds)
    every = f"{-(-steps // VALIDATIONS)} steps"
    config.train.batch_size = 32
    config.train.total = f"{steps} steps"
    config.train.log_every = f"{max(1, steps // 60)} steps"
    config.train.evaluate_every = config.train.checkpoint_every = every
    config.train.report = "last"
    return defaults.finish(config, smoke)
