"""The files of Omniglot: their places, and the drawings in them.

These are the original zips, folders unpacked from them, or an .npz of all images of a
set, whose table omniglot_characters.csv names the characters.
"""

import csv
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nfml_jax.data.download import DownloadError, check_connection, fetch, has_md5
from nfml_jax.data.idx_copies import Places
from nfml_jax.data.look import Look
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError

MIRROR = "https://github.com/brendenlake/omniglot/raw/master/python/"
SOURCES = ("manual", "download")

# Name of a zip -> md5 of the published one.
ZIPS = {
    "images_background": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
    "images_background_small1": "e704a628b5459e08445c13499850abc4",
    "images_background_small2": "b75a71a51d3b13f821f212756fe481fd",
    "all_runs": "e8996daecdf12afeeb4a53a179f06b19",
}


@dataclass(frozen=True)
class Drawings:
    """The character, the drawer and the image of each drawing, sorted by character.

    `characters` are "Alphabet/character01", `drawers` their numbers from 1, both `[N]`.
    `images(rows, look)` gives uint8 `[rows, H, W, 1]`, ink 255 on 0.
    """

    characters: np.ndarray
    drawers: np.ndarray
    images: Callable[[np.ndarray, Look], np.ndarray]


def find(name: str, source: str, places: Places) -> Path:
    """Return the zip, folder or .npz `name` of `ZIPS`; "auto" downloads a missing one.

    Raises UserError if it is unavailable.
    """
    if source not in ("auto", *SOURCES):
        raise UserError(
            f"data source {source!r} is unknown; expected auto, {', '.join(SOURCES)}."
        )
    reasons = []
    if source != "download":
        for folder in (places.manual / "omniglot", places.manual):
            for stem in (name, f"omniglot_{name}"):
                for path in (folder / f"{stem}.zip", folder / f"{stem}.npz"):
                    if path.is_file():
                        return path
            if (folder / name).is_dir():
                return folder / name
        reasons.append(f"not in {places.manual}")
    if source != "manual":
        try:
            return _download(f"{name}.zip", ZIPS[name], places.data / "omniglot")
        except (DownloadError, OSError) as error:
            reasons.append(str(error))
    raise UserError(
        f"Omniglot's {name}.zip is unavailable ({'; '.join(reasons)}): put it, from "
        f"{MIRROR}, into {places.manual / 'omniglot'}."
    )


def _download(file: str, md5: str, folder: Path) -> Path:
    if not has_md5(folder / file, md5):
        check_connection(MIRROR + file)
        folder.mkdir(parents=True, exist_ok=True)
        fetch(MIRROR + file, folder / file, md5)
    return folder / file


def open_drawings(path: Path, stack: ExitStack) -> Drawings:
    """Open the drawings that `find` found, to be read until the stack is closed.

    Raises UserError for files of another kind.
    """
    if path.suffix == ".npz":
        return _of_arrays(path)
    tree = stack.enter_context(open_tree(path))
    table = []
    for picture in tree.pictures:
        drawer = re.fullmatch(r"\d+_(\d+)", picture.stem)
        if len(picture.parts) < 3 or not drawer:
            raise UserError(
                f"{path} holds {picture}; expected ALPHABET/CHARACTER/0001_01.png, as "
                "in Omniglot's images_background.zip."
            )
        table.append(("/".join(picture.parts[-3:-1]), int(drawer[1]), picture))
    if not table:
        raise UserError(f"{path} holds no picture; copy it again completely.")
    characters, drawers, pictures = zip(*sorted(table), strict=True)

    def images(rows, look):
        return 255 - tree.images([pictures[row] for row in rows], look)

    return Drawings(np.array(characters), np.array(drawers), images)


def _of_arrays(path: Path) -> Drawings:
    """Return the drawings of an .npz file.

    Its `images` are bool `[characters, drawers, H, W]`, True for paper.
    """
    names = path.with_name("omniglot_characters.csv")
    of_set = path.stem.removeprefix("omniglot_").removeprefix("images_")
    try:
        with np.load(path) as file:
            paper = file["images"]
        with names.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row["set"] == of_set]
        table = {
            int(r["row_in_npz"]): f"{r['alphabet']}/{r['character']}" for r in rows
        }
    except Exception as error:  # numpy and zip raise many kinds
        raise UserError(
            f"{path} and {names.name} beside it cannot be read ({error}); copy both "
            "again, or put Omniglot's own zips there."
        ) from error
    if paper.ndim != 4 or sorted(table) != list(range(len(paper))):
        raise UserError(
            f"{names} names {len(table)} characters of {of_set}, and {path.name} is an "
            f"array {paper.shape}; expected [characters, drawers, height, width]."
        )
    order = sorted(table, key=table.__getitem__)
    count = paper.shape[1]

    def images(rows, look):
        chosen = paper[np.take(order, rows // count), rows % count]
        return 255 - look.fit(chosen.astype(np.uint8) * np.uint8(255))

    return Drawings(
        np.repeat([table[row] for row in order], count),
        np.tile(np.arange(1, count + 1), len(order)),
        images,
    )
