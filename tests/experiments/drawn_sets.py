"""Small made-up sets in the form of the published files: faces and characters."""

import csv
import zipfile
from io import BytesIO

import numpy as np
from PIL import Image


def png(pixels):
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_faces(folder, pictures=4):
    """LFW: six people to train on, four in the pairs to test on."""
    rng = np.random.default_rng(0)
    people = [f"Person_{letter}" for letter in "ABCDEFGHIJ"]
    for name in people:
        (folder / "lfw" / name).mkdir(parents=True)
        face = rng.integers(0, 200, (20, 20))
        for i in range(1, pictures + 1):
            noisy = (face + rng.integers(0, 55, face.shape)).astype(np.uint8)
            (folder / "lfw" / name / f"{name}_{i:04d}.png").write_bytes(png(noisy))
    for file, known in (("Train", people[:6]), ("Test", people[6:])):
        lines = [str(len(known))]
        lines += [f"{name}\t1\t2" for name in known]
        others = known[1:] + known[:1]
        lines += [f"{a}\t3\t{b}\t4" for a, b in zip(known, others, strict=True)]
        (folder / f"pairsDev{file}.txt").write_text("\n".join(lines) + "\n")


def write_characters(folder, drawers=8):
    """Omniglot as arrays: three alphabets to train on, two others; and two runs."""
    rng = np.random.default_rng(0)
    rows = []
    sets = {"background": "ABC", "evaluation": "XY"}
    for name, alphabets in sets.items():
        characters = [(a, f"character{i}") for a in alphabets for i in range(6)]
        drawn = rng.random((len(characters), 1, 14, 14)) < 0.6
        images = drawn ^ (rng.random((len(characters), drawers, 14, 14)) < 0.1)
        np.savez(folder / f"omniglot_images_{name}.npz", images=images)
        rows += [(name, row, *who) for row, who in enumerate(characters)]
    with (folder / "omniglot_characters.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("set", "row_in_npz", "alphabet", "character"))
        writer.writerows(rows)
    with zipfile.ZipFile(folder / "omniglot_all_runs.zip", "w") as archive:
        for run in ("run01", "run02"):
            lines = []
            for i in range(3):
                drawing = (255 * (rng.random((14, 14)) < 0.6)).astype(np.uint8)
                paths = f"{run}/test/item{i}.png", f"{run}/training/class{i}.png"
                for path in paths:
                    archive.writestr(path, png(drawing))
                lines.append(" ".join(paths))
            archive.writestr(f"{run}/class_labels.txt", "\n".join(lines))
