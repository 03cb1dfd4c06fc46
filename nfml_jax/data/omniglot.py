"""Omniglot: 1,623 characters of 50 alphabets, drawn once by each of twenty people.

Lake, Salakhutdinov and Tenenbaum (2015), Science 350. Ink is 255 on 0.
"""

import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.class_splits import arrange, set_classes_aside, shrink_classes
from nfml_jax.data.data_set import digest
from nfml_jax.data.draws import stratified
from nfml_jax.data.idx_copies import Places
from nfml_jax.data.look import Look
from nfml_jax.data.omniglot_files import find, open_drawings
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up

# Split -> the zip of its training part, and that zip's number of characters.
SPLITS = {
    "background": ("images_background", 964),
    "small1": ("images_background_small1", 136),
    "small2": ("images_background_small2", 156),
    "vinyals": ("images_background", 964),
    "characters": ("images_background", 964),
}
EVALUATION = ("images_evaluation", 659)
# Splits that also train on characters of the evaluation set, which has the 20 runs.
MIXED = ("vinyals", "characters")

# The number of the 1,623 characters that Vinyals et al. (2016) train on.
TRAINED_CHARACTERS = 1200


def load_omniglot(
    *,
    source="auto",
    manual_dir=None,
    data_dir=None,
    split="background",
    image_size=28,
    rotations: bool = False,
    validation=0.0,
    max_train=None,
    max_test=None,
    seed: int = 0,
) -> Loaded:
    """Load characters to train on, and other, unseen ones to test on.

    `split` "background" is Lake's: 30 alphabets to train on, and the 20 of the
    evaluation set to test on; "small1" and "small2" train on five alphabets of these.
    `validation` is a fraction below 1, or a count, of the alphabets to train on to set
    aside. "vinyals" and "characters" train on 1,200 characters and test on the other
    423, and `validation` counts characters. "vinyals" is the split of Vinyals et al.
    (2016) as prototypical networks and others have it: the first 1,200 in the order of
    the files, which are the background set and, of the evaluation set, the alphabets
    before Gurmukhi with 41 of its 45 characters. "characters" draws them from all
    alphabets, by `seed`.

    `rotations` adds every character turned by 90, 180 and 270 degrees as separate
    classes. `max_train` and `max_test` take complete characters. `about` has the
    "alphabet" and the "drawer" (1 to 20) of each image.

    Raises UserError if the files are unavailable or damaged.
    """
    zip_name, count = look_up(SPLITS, split, "data.split")
    look = Look.of(image_size, channels=1)
    if rotations and look.height != look.width:
        raise UserError(f"image_size is {image_size}; rotations take square images.")
    places = Places(manual_dir, data_dir)
    with ExitStack() as stack:
        paths = [find(name, source, places) for name in (zip_name, EVALUATION[0])]
        found = [open_drawings(path, stack) for path in paths]
        counts = [len(np.unique(drawings.characters)) for drawings in found]
        names, labels = np.unique(
            np.concatenate([drawings.characters for drawings in found]),
            return_inverse=True,
        )
        names = names.tolist()
        alphabets = np.array([name.split("/")[0] for name in names])
        about = {
            "alphabet": alphabets[labels],
            "drawer": np.concatenate([drawings.drawers for drawings in found]),
        }
        every = Split(np.arange(len(labels)), labels.astype(np.int32), about)
        first = np.unique(labels[: len(found[0].characters)])
        second = np.setdiff1d(np.arange(len(names)), first)
        units, what = np.arange(len(names)), "characters"
        share = round(TRAINED_CHARACTERS / 1623 * len(names))
        if split == "characters":
            train, test = stratified(np.zeros(len(names), int), share, seed)
        elif split == "vinyals":
            train, test = np.split(np.r_[first, second], [share])
        else:
            train, test = first, second
            units, what = alphabets, "alphabets"
        train = shrink_classes(labels, train, max_train, seed, "max_train")
        test = shrink_classes(labels, test, max_test, seed, "max_test")
        kept, aside = set_classes_aside(units[train], validation, seed, what)
        fields = arrange(
            names,
            train=(every, train[kept]),
            validation=(every, train[aside]) if len(aside) else None,
            test=(every, test),
        )
        for part in fields.keys() & {"train", "validation", "test"}:
            rows = fields[part].images
            fields[part] = replace(fields[part], images=_images(found, rows, look))
    if rotations:
        fields = _rotated(**fields)
    name = f"omniglot_{split}"
    if counts != [count, EVALUATION[1]]:
        warnings.warn(
            f"{paths[0].name} and {paths[1].name} hold {counts[0]} and {counts[1]} "
            f"characters, the published sets {count} and {EVALUATION[1]}: results are "
            f"reported for {name}_custom.",
            stacklevel=3,
        )
        name += "_custom"
    words = ", with rotations" if rotations else ""
    return Loaded(name, f"{paths[0].name} and {paths[1].name}{words}", **fields)


def _images(found, rows, look) -> np.ndarray:
    """Return the images of rows of several sets, one after the other."""
    images = np.zeros((len(rows), look.height, look.width, 1), np.uint8)
    begin = 0
    for drawings in found:
        inside = (rows >= begin) & (rows < begin + len(drawings.characters))
        images[inside] = drawings.images(rows[inside] - begin, look)
        begin += len(drawings.characters)
    return images


def _rotated(class_names, unseen, **parts) -> dict:
    """Return every class four times: turned by 0, 90, 180 and 270 degrees."""
    angles = [f"rot{90 * turn:03d}" for turn in range(4)]
    known, others = len(class_names), len(unseen)

    def turned(split):
        first = split.labels < known
        labels = [
            np.where(
                first, split.labels + t * known, split.labels + 3 * known + t * others
            )
            for t in range(4)
        ]
        return Split(
            np.concatenate([np.rot90(split.images, t, (1, 2)) for t in range(4)]),
            np.concatenate(labels).astype(np.int32),
            {name: np.tile(facts, 4) for name, facts in split.about.items()},
        )

    return {
        "class_names": tuple(f"{n}/{angle}" for angle in angles for n in class_names),
        "unseen": tuple(f"{n}/{angle}" for angle in angles for n in unseen),
        **{part: turned(split) for part, split in parts.items()},
    }


@dataclass(frozen=True)
class OneShotRuns:
    """Within-alphabet one-shot classification: each run has W classes of an alphabet.

    `support` uint8 `[runs, W, H, W, 1]` has one drawing of each class, `query` `[runs,
    Q, H, W, 1]` drawings by other people, and `answers` int32 `[runs, Q]` the index of
    each query's class in the support.
    """

    source: str
    digest: str
    support: np.ndarray
    query: np.ndarray
    answers: np.ndarray


def load_omniglot_runs(
    *, source="auto", manual_dir=None, data_dir=None, image_size=28
) -> OneShotRuns:
    """Load the 20 runs of 20-way one-shot classification of Lake et al. (2015).

    Raises UserError if all_runs.zip is unavailable or damaged.
    """
    look = Look.of(image_size, channels=1)
    path = find("all_runs", source, Places(manual_dir, data_dir))
    support, query, answers = [], [], []
    with open_tree(path) as tree:
        for file in tree.files:
            if file.name != "class_labels.txt":
                continue
            pairs = [line.split() for line in tree.read(file).decode().splitlines()]
            asked, given = zip(*[p for p in pairs if p], strict=True)
            classes = sorted(set(given))
            above = file.parent.parent
            support.append(255 - tree.images([above / c for c in classes], look))
            query.append(255 - tree.images([above / q for q in asked], look))
            answers.append([classes.index(c) for c in given])
    if len({(len(s), len(q)) for s, q in zip(support, query, strict=True)}) != 1:
        raise UserError(
            f"{path} has {len(support)} runs, not all of one size; expected run01 to "
            "run20, each with its class_labels.txt."
        )
    arrays = np.stack(support), np.stack(query), np.array(answers, np.int32)
    return OneShotRuns(path.name, digest(arrays), *arrays)
