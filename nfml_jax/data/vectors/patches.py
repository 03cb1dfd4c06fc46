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
"""Of the 200 training photographs, as in RNADE."""


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
    photographs = {part: _photographs(manual_dir, part) for part in ("train", "test")}
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(photographs["train"]))
    validating, training = np.split(order, [VALIDATION_IMAGES])
    chosen = {
        "train": (training, photographs["train"], train),
        "validation": (validating, photographs["train"], validation),
        "test": (np.arange(len(photographs["test"])), photographs["test"], test),
    }
    parts = {
        part: preprocess(draw_patches([images[i] for i in places], count, rng), rng)
        for part, (places, images, count) in chosen.items()
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
    shares = np.array([(i.shape[0] - 7) * (i.shape[1] - 7) for i in images], float)
    counts = rng.multinomial(count, shares / shares.sum())
    patches = np.empty((count, SIDE, SIDE), np.uint8)
    start = 0
    for image, n in zip(images, counts, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE))
        row, column = (rng.integers(length, size=n) for length in windows.shape[:2])
        patches[start : start + n] = windows[row, column]
        start += n
    rng.shuffle(patches)
    return patches.reshape(count, SIDE**2)


def preprocess(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return dequantized patches `[N, 63]`, float32, without mean and last pixel."""
    x = (patches + rng.random(patches.shape, np.float32)) / np.float32(256)
    return (x - x.mean(axis=1, keepdims=True))[:, :-1]


def _photographs(manual_dir, part):
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
            images.append(np.asarray(Image.open(file).convert("L")))
    return images
