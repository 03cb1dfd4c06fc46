"""`python -m benchmarks.own_pictures FOLDER NAME...`: folders of results/own_pictures.

Makes each folder of pictures that `configs/folder.py` was tried on, as FOLDER/NAME,
from published sets in --data: `lfw*.zip` (the photographs, as NAME/NAME_0001.jpg),
`bsds300*.zip`, Omniglot's archives and the IDX files of Fashion-MNIST. All draws have
seed 0. The pictures themselves are not part of this project.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from nfml_jax.cli.command import command, make_parser
from nfml_jax.data import load
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up

Draws = np.random.Generator
Named = Iterator[tuple[str, Image.Image]]  # the path in a folder, and the picture


def people(data: Path, draws: Draws) -> Named:
    """Yield ten photographs of each of 30 people."""
    yield from _faces(data, draws, people=30, least=10, most=10)


def many_people(data: Path, draws: Draws) -> Named:
    """Yield five photographs of each of 150 people."""
    yield from _faces(data, draws, people=150, least=5, most=5)


def all_people(data: Path, draws: Draws) -> Named:
    """Yield up to 25 photographs of everyone who has ten or more."""
    yield from _faces(data, draws, people=None, least=10, most=25)


def lit_people(data: Path, draws: Draws) -> Named:
    """Yield people under strong light from one side, half of the pictures in the dark.

    Each photograph is taken once, under a light of its own.
    """
    for number, (path, face) in enumerate(_faces(data, draws, 60, least=12, most=16)):
        yield path, lit(face, draws, dark=number % 2 == 1)


def lit_faces(data: Path, draws: Draws) -> Named:
    """Yield three photographs of each of 38 people, each of them under 20 lights."""
    for path, face in _faces(data, draws, people=38, least=3, most=3):
        stem = path.removesuffix(".png")
        for light in range(20):
            yield f"{stem}_{light:02}.png", lit(face, draws, dark=light % 2 == 1)


def garments(data: Path, draws: Draws) -> Named:
    """Yield 200 garments of each of ten kinds, of any size and place in 64x48 pixels.

    Ground and garment have a color each, and there is light from one side.
    """
    found = load("fashion_mnist", source="manual", manual_dir=str(data)).train
    for kind, label in enumerate(np.unique(found.labels)):
        rows = draws.permutation(np.flatnonzero(found.labels == label))[:200]
        for number, row in enumerate(rows):
            yield f"kind{kind}/{number:03}.png", _garment(found.images[row], draws)


def characters(data: Path, draws: Draws) -> Named:
    """Yield 150 characters of Omniglot, drawn by twenty people each."""
    found = _drawings(data, "characters")
    for label in draws.permutation(np.unique(found.labels))[:150]:
        for drawer, row in enumerate(np.flatnonzero(found.labels == label)):
            yield f"char{label:04}/{drawer:02}.png", _gray(255 - found.images[row])


def alphabets(data: Path, draws: Draws) -> Named:
    """Yield 200 characters by eight people, and to test 100 of other alphabets."""
    known, unknown = (_drawings(data, "background", part) for part in ("train", "test"))
    for part, found, count, drawers in (
        ("train", known, 200, 8),
        ("test", unknown, 100, 10),
    ):
        for label in draws.permutation(np.unique(found.labels))[:count]:
            rows = draws.permutation(np.flatnonzero(found.labels == label))[:drawers]
            for number, row in enumerate(rows):
                path = f"{part}/char{label:04}/{number:02}.png"
                yield path, _gray(255 - found.images[row])


def places(data: Path, draws: Draws) -> Named:
    """Yield 15 crops of each of 120 color photographs, of other sizes and lights."""
    with open_tree(_path(data, "bsds300*.zip")) as tree:
        for path in draws.permutation(sorted(map(str, tree.pictures)))[:120]:
            photograph = Image.open(BytesIO(tree.read(_of(tree, path)))).convert("RGB")
            for number in range(15):
                yield f"{Path(path).stem}/{number:02}.png", _crop(photograph, draws)


FOLDERS: dict[str, Callable[[Path, Draws], Named]] = {
    made.__name__: made
    for made in (
        people,
        many_people,
        all_people,
        lit_people,
        lit_faces,
        garments,
        characters,
        alphabets,
        places,
    )
}


def lit(picture: Image.Image, draws: Draws, dark: bool) -> Image.Image:
    """Return a picture under light from one side; a `dark` one has a fifth of it.

    The far side has 5 to 30 % of the light, and gamma is between 1/2 and 2.
    """
    values = np.asarray(picture, np.float64) / 255
    height, width = values.shape[:2]
    angle, far = draws.uniform(0, 2 * np.pi), draws.uniform(0.05, 0.3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    across = (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)
    light = far + (1 - far) * (1 + across) / 2
    light = light.reshape(light.shape + (1,) * (values.ndim - 2))
    values = (values * light) ** (2 ** draws.uniform(-1, 1))
    return _eight_bits(values * (0.2 if dark else 1.0))


def _faces(data: Path, draws: Draws, people, least, most) -> Named:
    """Yield photographs of people who have `least` or more, cut to the face."""
    with open_tree(_path(data, "lfw*.zip")) as tree:
        of_person = defaultdict(list)
        for path in sorted(tree.pictures):
            of_person[path.parent.name].append(path)
        names = [name for name, paths in of_person.items() if len(paths) >= least]
        for name in draws.permutation(names)[:people]:
            paths = of_person[name]
            for row in sorted(draws.permutation(len(paths))[:most]):
                face = Image.open(BytesIO(tree.read(paths[row])))
                width, height = face.size
                left, right = int(0.22 * width), int(0.78 * width)
                box = left, int(0.18 * height), right, int(0.9 * height)
                yield f"{name}/{paths[row].stem}.png", face.crop(box)


def _garment(pixels, draws: Draws) -> Image.Image:
    size = int(draws.integers(20, 44))
    drawn = np.asarray(_gray(pixels).resize((size, size)), np.float64) / 255
    canvas = np.zeros((64, 48, 1))
    shown = canvas[: canvas.shape[0], : canvas.shape[1], 0]
    top, left = (int(draws.integers(0, side - size + 1)) for side in shown.shape)
    shown[top : top + size, left : left + size] = drawn
    inks = draws.uniform(0.3, 1, 3), draws.uniform(0, 0.5, 3)
    values = canvas * inks[0] + (canvas < 0.1) * inks[1]
    return lit(_eight_bits(values), draws, dark=False)


def _crop(photograph: Image.Image, draws: Draws) -> Image.Image:
    side = int(draws.integers(90, 180))
    height, width = side, min(side * 3 // 2, photograph.width)
    left = int(draws.integers(0, photograph.width - width + 1))
    top = int(draws.integers(0, photograph.height - height + 1))
    cut = photograph.crop((left, top, left + width, top + height)).resize((96, 64))
    values = np.asarray(cut, np.float64) / 255 * draws.uniform(0.4, 1.3)
    return _eight_bits(values * draws.uniform(0.9, 1.1, 3))


def _drawings(data: Path, split: str, part: str = "train"):
    options = {"split": split, "image_size": 64}
    found = load("omniglot", source="manual", manual_dir=str(data), **options)
    return getattr(found, part)


def _path(data: Path, pattern: str) -> Path:
    found = sorted(data.glob(pattern))
    if not found:
        raise UserError(f"{data} holds no {pattern}; give --data=FOLDER that does.")
    return found[0]


def _of(tree, path: str):
    return next(known for known in tree.pictures if str(known) == path)


def _gray(pixels) -> Image.Image:
    return Image.fromarray(np.asarray(pixels, np.uint8).squeeze())


def _eight_bits(values) -> Image.Image:
    return Image.fromarray((255 * values.clip(0, 1)).round().astype(np.uint8))


@command
def main(arguments=None) -> None:
    made = make_parser("benchmarks.own_pictures", __doc__, "python -m")
    made.add_argument("folder", type=Path, metavar="FOLDER")
    made.add_argument("names", nargs="+", metavar="NAME", help=", ".join(FOLDERS))
    made.add_argument("--data", type=Path, default=Path.home() / "nfml_data")
    options = made.parse_args(arguments)
    for name in options.names:
        make = look_up(FOLDERS, name, "folder of pictures")
        root = options.folder / name
        if root.exists():
            raise UserError(f"{root} exists; remove it, or give another folder.")
        try:
            count = _write(root, make(options.data, np.random.default_rng(0)))
        except BaseException:
            shutil.rmtree(root, ignore_errors=True)
            raise
        print(f"{root}: {count:,} pictures")


def _write(root: Path, pictures: Named) -> int:
    count = 0
    for path, picture in pictures:
        file = root / re.sub(r"[^\w./-]", "_", path)
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
        count += 1
    return count


if __name__ == "__main__":
    main()
