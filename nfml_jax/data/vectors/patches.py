"""Patches of the photographs of BSDS300, redrawn by the published recipe.

Zoran and Weiss (ICCV 2011) and Uria et al. (RNADE, NeurIPS 2013): 8 × 8 gray pixels,
uniform noise added to the 256 levels, divided by 256, minus the patch's mean, without
the last pixel, which the others then determine. MAF's own draw is the set `bsds300`.
Likelihoods on another draw are close to those on it, but not equal: a normal density
fitted to 100,000 of these patches gives the test patches 96.2 ± 0.2 nats (two draws:
96.2 and 96.3), and Papamakarios et al. (NeurIPS 2017, table 1) print 96.7 ± 0.2 for one
on theirs.
"""

import numpy as np

from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.data.vectors.files import manual_files, manual_folder
from nfml_jax.errors import UserError

SIDE = 8
VALIDATION_IMAGES = 20
"""The number of validation photographs, of the 200 for training, as in RNADE."""


def load_bsds300_patches(
    *,
    manual_dir=None,
    train: int = 1_000_000,
    validation: int = 50_000,
    test: int = 250_000,
    seed: int = 0,
) -> LoadedVectors:
    """Return random patches `[N, 63]`, by default as many as MAF has.

    The photographs lie in `BSDS300/images/train` and `…/test` below `manual_dir`, or in
    a zip there. 20 of the training ones, drawn by `seed`, are for validation.

    Raises:
      UserError: if there are no photographs.
    """
    images = {part: photographs(manual_dir, part) for part in ("train", "test")}
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images["train"]))
    validating, training = np.split(order, [VALIDATION_IMAGES])
    chosen = {
        "train": (training, images["train"], train),
        "validation": (validating, images["train"], validation),
        "test": (np.arange(len(images["test"])), images["test"], test),
    }
    parts = {
        part: preprocess(draw_patches([among[i] for i in places], count, rng), rng)
        for part, (places, among, count) in chosen.items()
    }
    columns = tuple(f"{i // SIDE},{i % SIDE}" for i in range(SIDE**2 - 1))
    source = f"patches of the BSDS300 photographs, seed {seed}"
    return LoadedVectors(
        "bsds300_patches",
        source,
        columns,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        statistics=(),
    )


def draw_patches(images, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw patches uint8 `[count, 64]` uniformly from gray images."""
    return draw_crops(images, (SIDE, SIDE), count, rng).reshape(count, SIDE**2)


def draw_crops(
    images, size: tuple[int, int], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw crops uint8 `[count, h, w, ...]` of `size`, uniformly from all places.

    Images are `[H, W]` or `[H, W, C]` and may differ in height and width.
    """
    least = [(i.shape[0] - size[0] + 1) * (i.shape[1] - size[1] + 1) for i in images]
    shares = np.array(least, float)
    counts = rng.multinomial(count, shares / shares.sum())
    crops = np.empty((count, *size, *images[0].shape[2:]), np.uint8)
    start = 0
    for image, n in zip(images, counts, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, size, axis=(0, 1))
        row, column = (rng.integers(length, size=n) for length in windows.shape[:2])
        # The window's axes come last, after those of the color.
        drawn = windows[row, column]
        crops[start : start + n] = np.moveaxis(drawn, (-2, -1), (1, 2))
        start += n
    rng.shuffle(crops)
    return crops


def preprocess(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return dequantized patches `[N, 63]`, float32, without mean and last pixel."""
    x = (patches + rng.random(patches.shape, np.float32)) / np.float32(256)
    return (x - x.mean(axis=1, keepdims=True))[:, :-1]


def photographs(manual_dir, part: str, mode: str = "L") -> list[np.ndarray]:
    """Return the photographs of "train" or "test": gray, or colored by `mode` "RGB".

    Raises:
      UserError: if there are none.
    """
    from PIL import Image

    found = manual_files(manual_dir, f"images/{part}/*.jpg")
    if len(found) <= VALIDATION_IMAGES:
        raise UserError(
            f"BSDS300/images/{part} in {manual_folder(manual_dir)} has {len(found)} "
            "photographs; unpack the BSDS300 images of the Berkeley Segmentation "
            "Dataset there, 200 to train and 100 to test on."
        )
    images = []
    for open_file in found.values():
        with open_file() as file:
            images.append(np.asarray(Image.open(file).convert(mode)))
    return images
