"""`python -m nfml_jax.gallery RUNS...`: embeddings of trained models, side by side.

One panel for each run, with the class weights as rays: what each loss does to the
plane (Liu et al. 2016, figure 2; Wen et al. 2016, figure 2).
"""

import argparse
import sys
from pathlib import Path

from nfml_jax import load
from nfml_jax.data import load as load_data
from nfml_jax.errors import UserError
from nfml_jax.plots import embedding_gallery, save, to_rgb
from nfml_jax.training.run_directory import read_json


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nfml_jax.gallery", description=__doc__
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("gallery.png"))
    options = parser.parse_args(arguments)
    try:
        panels, names = [], None
        for run in options.runs:
            panel, names = embedded_test_set(run)
            panels.append(panel)
        rgb = to_rgb(embedding_gallery(panels, names))
        try:
            save(rgb, options.output)
        except OSError as problem:
            raise UserError(
                f"cannot write {options.output} ({problem.strerror}); give another "
                "--output."
            ) from None
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    print(f"Wrote {options.output}.")
    return 0


def embedded_test_set(run: Path):
    """A run's panel (title, embeddings, labels, weights), and its class names.

    Raises UserError where the embeddings aren't two-dimensional, and where the data
    that the run's config finds now aren't those that its result was measured on.
    """
    model = load(run)
    if model.embedding_size != 2:
        raise UserError(
            f"{run} has embeddings of {model.embedding_size} dimensions; the gallery "
            "shows 2."
        )
    config, result = (read_json(run / f"{name}.json") for name in ("config", "result"))
    data = load_data(**config["data"])
    if result and result["data"]["digest"] != data.digest:
        raise UserError(
            f"{run} was evaluated on {result['data']['name']} from "
            f"{result['data']['source']}, but its config finds {data.name} from "
            f"{data.source} now; bring those data back, or train again."
        )
    title = f"{config['head']['name']}: {model.module.head.margin.formula()}"
    test = data.test
    panel = title, model.embed(test.images), test.labels, model.class_weights
    return panel, model.class_names


if __name__ == "__main__":
    sys.exit(main())
