"""Draw the plane of trained models: `nfml draw RUNS...`.

Embeddings give one panel for each run, with class weights (if there are any) as rays:
this shows the effect of each loss (Liu et al. 2016, figure 2; Wen et al. 2016, figure
2). Flows give a row for each density, the true density first and then a column for each
run's name. Flows of images give a row of draws for each run, from the same seed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nfml_jax import load, plots
from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.errors import UserError
from nfml_jax.loading import config_of, data_of
from nfml_jax.ops.checks import refuse
from nfml_jax.ops.names import look_up
from nfml_jax.synthetic.plane import DENSITIES, draw
from nfml_jax.variational import ENERGIES, SQUARE, draws_on_grid

GRID = 160  # cells along either side of a density's panel
DRAWN = 16  # images in a row


@command
def main(arguments=None) -> None:
    """Run the command `nfml draw`."""
    parser = make_parser("draw", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories")
    picture = {"default": Path("gallery.png"), "help": "default: gallery.png"}
    parser.add_argument("--output", type=Path, **picture)
    options = parser.parse_args(arguments)
    if options.output.suffix.lower() != ".png":
        refuse(None, "--output", str(options.output), "a name that ends in .png")
    rgb = plots.to_rgb(gallery(options.runs))
    with writing(options.output):
        plots.save(rgb, options.output)
    print(f"Wrote {options.output}.")


def gallery(runs: Sequence[Path]) -> Figure:
    """Return the figure of runs of one kind of experiment; UserError if they differ."""
    kinds = {run: config_of(run) for run in runs}
    kinds = {config.get("experiment", "margin") for config in kinds.values()}
    draw = {look_up(GALLERIES, kind, "gallery of an experiment") for kind in kinds}
    if len(draw) > 1:
        raise UserError(
            f"the runs are of different kinds ({', '.join(sorted(kinds))}); give those "
            "of one kind."
        )
    return draw.pop()(runs)


def embeddings(runs: Sequence[Path]) -> Figure:
    """Return the figure of the test set of each run in two dimensions."""
    panels = [embedded_test_set(run) for run in runs]
    return plots.embedding_gallery([panel for panel, _ in panels], panels[-1][1])


def densities(runs: Sequence[Path]) -> Figure:
    """Return the figure of the densities that flows have learned, and the true ones."""
    panels, limits = {}, {}
    for run in runs:
        flow, config = load(run), config_of(run)
        name, log_prob, where = known_density(config)
        if name not in panels:
            limits[name] = plots.limits_around(where)
            grid = plots.grid_points(limits[name], GRID)
            panels[name] = {"truth": log_prob(grid).reshape(GRID, GRID)}
        grid = plots.grid_points(limits[name], GRID)
        panels[name][config["name"]] = flow.log_prob(grid).reshape(GRID, GRID)
    side = 1.3 if len(panels) > 2 else 2.6
    return plots.density_gallery(panels, limits, rows_share=True, side=side)


def draws_of_images(runs: Sequence[Path]) -> Figure:
    """Return the figure of images that flows of images draw, a row for each run."""
    flows = {run: load(run) for run in runs}
    forms = list(dict.fromkeys(flow.words() for flow in flows.values()))
    if len(forms) > 1:
        raise UserError(
            f"the flows draw different images ({', '.join(forms)}); give runs on "
            "images of one form."
        )
    names = {run: config_of(run)["name"] for run in runs}
    if len(set(names.values())) < len(names):
        names = {run: str(run) for run in runs}
    rows = {names[run]: flow.sample(0, DRAWN) for run, flow in flows.items()}
    return plots.image_rows(rows, flows[runs[0]].levels - 1)


def known_density(config: dict):
    """Return a flow's target: its name, its log-density, and draws that show it."""
    if config.get("experiment") == "density":
        name = config.get("data", {}).get("name")
        density = look_up(DENSITIES, name, "density")
        return name, density.log_prob, draw(density, "test", 10_000)
    name = config.get("energy", {}).get("name")
    energy = look_up(ENERGIES, name, "energy")
    grid = plots.grid_points(SQUARE, 2 * GRID)
    width = np.ptp(SQUARE[0]) / (2 * GRID)
    draws = draws_on_grid(0, energy.log_density(grid), grid, width, 10_000)
    return name, lambda x: energy.log_density(x) - energy.log_z, draws


GALLERIES = {
    "margin": embeddings,
    "pairs": embeddings,
    "density": densities,
    "variational": densities,
    "images": draws_of_images,
}


def embedded_test_set(run: Path):
    """Return a run's panel (title, embeddings, labels, weights), and its class names.

    Raises UserError if the embeddings aren't two-dimensional, or if the data that the
    run's config finds are not those that its result was measured on.
    """
    model = load(run)
    if model.embedding_size != 2:
        raise UserError(
            f"{run} has embeddings of {model.embedding_size} dimensions, and 2 can be "
            "drawn; give runs with encoder.embedding_size=2."
        )
    config, data = config_of(run), data_of(run)
    test, embeddings = data.test, model.embed(data.test.images)
    if "objective" in config:
        panel = config["objective"]["name"], embeddings, test.labels, None
    else:
        title = f"{config['head']['name']}: {model.module.head.margin.formula()}"
        panel = title, embeddings, test.labels, model.class_weights
    return panel, data.label_names
