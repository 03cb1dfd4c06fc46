"""Glow and its training, which `images.py` and `images_alone.py` time."""

import sys
from typing import Any, NamedTuple

from image_setting import ALPHA, LEVELS, PIXELS, RATE, ROOT, SHAPE

sys.path.insert(0, str(ROOT))


def glow(steps: int, hidden: int, **options):
    """Return Glow for images of integer levels, with `options` of the recipe."""
    from nfml_jax.flows.recipes.images import make_image_flow

    recipe = {"recipe": "glow", "levels": LEVELS, "alpha": ALPHA, "prior": "normal"}
    recipe |= {"steps": steps, "hidden": hidden, **options}
    return make_image_flow(SHAPE, recipe, levels=PIXELS)


def images(count: int):
    import numpy as np

    levels = np.random.default_rng(0).integers(0, PIXELS, (count, *SHAPE))
    return levels.astype(np.uint8)


class Training(NamedTuple):
    """The dispatch of steps, not compiled yet, and the arguments of its first call."""

    dispatch: Any
    state: Any
    rest: tuple
    mesh: Any


def training(model, variables, batch: int, steps: int) -> Training:
    """Return the loop's training, `steps` in one dispatch over all devices."""
    import jax
    import numpy as np
    import optax

    from nfml_jax.training.devices import parts_of_share
    from nfml_jax.training.feeds import ResidentFeed
    from nfml_jax.training.settings import TrainSettings
    from nfml_jax.training.sharding import make_mesh, place
    from nfml_jax.training.step import init_state, make_dispatch, make_step

    def loss(params, collections, batch, step):
        given = {"params": params, **collections}
        nats = model.apply(given, batch.data, batch.keys)
        return -nats.mean(), (collections, {})

    key, mesh, optimizer = jax.random.key(0), make_mesh(), optax.adam(RATE)
    parts = parts_of_share(TrainSettings(batch_size=batch, accumulate=None), mesh)
    feed = ResidentFeed(images(steps * batch), batch, key, mesh, ahead=steps)
    step = make_step(loss, optimizer, key=key, accumulate=parts)
    dispatch = make_dispatch(step, feed.take, mesh, steps)
    variables = jax.tree.map(jax.numpy.copy, variables)  # the state is donated
    state = place(init_state(variables, optimizer, average=False), mesh)
    rest = np.int32(steps), feed.chunk(0), feed.resident
    return Training(dispatch, state, rest, mesh)
