"""`python -m nfml_jax.gallery RUNS...`: embeddings of trained models, side by side.

One panel for each run, with the class weights as rays: what each loss does to the
plane (Liu et al. 2016, figure 2; Wen et al. 2016, figure 2).
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from nfml_jax import load
from nfml_jax.data import load as load_data
from nfml_jax.errors import UserError
from nfml_jax.plots import embedding_gallery, save, to_rgb
from nfml_jax.training.run_directory import read_json

CHUNK = 500


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nfml_jax.gallery", description=__doc__
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("gallery.png"))
    options = parser.parse_args(arguments)
    try:
        panels, names = {}, None
        for run in options.runs:
            title, panel, names = embedded_test_set(run)
            panels[title] = panel
        save(to_rgb(embedding_gallery(panels, names)), options.output)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    print(f"Wrote {options.output}.")
    return 0


def embedded_test_set(run: Path):
    """A run's title, its test set's (embeddings, labels, weights), and class names."""
    model = load(run)
    if model.embedding_size != 2:
        raise UserError(
            f"{run} has embeddings of {model.embedding_size} dimensions; the gallery "
            "shows 2."
        )
    config = read_json(run / "config.json")
    data = load_data(**{k: v for k, v in config["data"].items() if v})
    embeddings = [
        np.asarray(model.embed(data.test.images[start : start + CHUNK]))
        for start in range(0, len(data.test), CHUNK)
    ]
    head = model.module.head
    panel = np.concatenate(embeddings), data.test.labels, model.class_weights
    return f"{config['head']['name']}: {head.formula()}", panel, model.class_names


if __name__ == "__main__":
    sys.exit(main())
