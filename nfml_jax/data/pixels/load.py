"""Sets of pictures by name: `load_pixels("mnist", validation=10_000)`."""

import inspect
from functools import partial

from nfml_jax.data.checks import check_shared
from nfml_jax.data.pixels.arrays import (
    PixelData,
    make_pixel_data,
    set_part_aside,
    shrink_part,
    summed_over_blocks,
)
from nfml_jax.data.pixels.sets import (
    load_bsds300_crops,
    load_digits,
    load_faces,
    load_labeled,
    load_omniglot_drawings,
    load_picture_folder,
)
from nfml_jax.ops.checks import check_integer, check_part
from nfml_jax.ops.names import check_names, look_up

# Name -> function of keyword arguments that returns arrays.LoadedPixels.
PIXEL_DATASETS = {
    "mnist": partial(load_labeled, "mnist"),
    "fashion_mnist": partial(load_labeled, "fashion_mnist"),
    "omniglot": load_omniglot_drawings,
    "lfw": load_faces,
    "bsds300_crops": load_bsds300_crops,
    "digits": load_digits,
    "image_folder": load_picture_folder,
}


def load_pixels(
    name: str,
    *,
    source: str = "auto",
    manual_dir=None,
    data_dir=None,
    validation: float = 0.1,
    seed: int = 0,
    max_train: int | None = None,
    max_test: int | None = None,
    sum_blocks: int = 1,
    **options,
) -> PixelData:
    """Load a set of `PIXEL_DATASETS` by name into memory.

    Args:
      name: The name of the set.
      source: The place to take it from, as in `nfml_jax.data.load`.
      manual_dir: The folder of manually downloaded files.
      data_dir: The folder of prepared data.
      validation: The part of the training pictures to set aside for choosing models,
        a fraction below 1 or a count. Of sets with groups (people, photographs,
        alphabets) it counts groups.
      seed: That of the draws of the validation part and of fewer pictures. The test
        pictures of a set don't depend on it.
      max_train: The most training pictures, counted before those for validation are
        set aside; None or 0 is all. The name of a smaller set says so.
      max_test: The most test pictures.
      sum_blocks: A side in pixels; if above 1, pixels are sums over such blocks,
        with more levels than before: 4 makes 4,081 levels of 256.
      **options: Those of the set itself, such as `root` of "image_folder".

    Raises:
      UserError: The set is unknown, unavailable, damaged or empty, or an option
        doesn't fit.
    """
    loader = look_up(PIXEL_DATASETS, name, "set of pictures")
    known = inspect.signature(loader).parameters
    check_names(options, known, f"option of set {name!r}:")
    check_shared(seed=seed, max_train=max_train, max_test=max_test)
    check_part(**{"data.validation": validation})
    check_integer("data", 1, sum_blocks=sum_blocks)
    places = {"source": source, "manual_dir": manual_dir, "data_dir": data_dir}
    places = {key: value for key, value in places.items() if key in known}
    loaded = loader(**places, **options)
    loaded = shrink_part(loaded, "train", max_train, seed)
    loaded = set_part_aside(loaded, validation, seed)
    loaded = shrink_part(loaded, "test", max_test, seed)
    return make_pixel_data(summed_over_blocks(loaded, sum_blocks))
