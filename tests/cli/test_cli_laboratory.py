"""The laboratory is found wherever it lies, and can be copied and edited."""

import subprocess
import sys
from pathlib import Path

import pytest

from nfml_jax import cli
from nfml_jax.cli import init, laboratory
from nfml_jax.errors import UserError
from nfml_jax.ops.extras import MissingExtra, explain_missing, import_extra

ROOT = Path(__file__).parents[2]
WHERE = """
import sys
from nfml_jax.cli.laboratory import enter
enter()
import experiments, configs.defaults, configs.mine
print(experiments.__file__, configs.defaults.__file__, configs.mine.__file__)
"""


def test_help_fits_a_screen_and_knows_every_command(capsys):
    assert cli.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert set(cli.COMMANDS) <= files
    assert all(any(f" {name} " in line for line in lines) for name in cli.COMMANDS)


def test_the_version_is_the_packages(capsys):
    from nfml_jax import __version__

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"nfml_jax {__version__}\n"


def test_a_copy_is_the_laboratory_where_it_is_and_may_leave_parts_out(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert init.main([str(folder)]) == 0
    assert "nfml train --config=arcface_mnist:smoke" in capsys.readouterr().out
    for name in laboratory.FOLDERS:
        ours = {p.relative_to(ROOT) for p in (ROOT / name).rglob("*.py")}
        assert ours == {p.relative_to(folder) for p in (folder / name).rglob("*.py")}
    assert init.main([str(folder)]) == 2
    assert "exists already; give another folder" in capsys.readouterr().err
    for path in (folder / "configs" / "defaults").iterdir():
        path.unlink()
    (folder / "configs" / "defaults").rmdir()
    (folder / "configs" / "mine.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", WHERE],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    experiments, defaults, own = map(Path, done.stdout.split())
    assert experiments.parent == folder / "experiments" or ROOT in experiments.parents
    assert ROOT in defaults.parents and own.parent == folder / "configs"


def test_a_config_is_found_by_name_or_file_from_anywhere(tmp_path, monkeypatch):
    def find(text, kind="config"):
        folder = {"config": "configs", "sweep": "configs/sweeps"}[kind]
        return laboratory.find_file(text, kind, folder)

    monkeypatch.chdir(tmp_path)
    plane = str(ROOT / "configs" / "plane.py")
    assert find("plane") == find("configs/plane.py") == plane
    assert find("plane:smoke") == f"{plane}:smoke"
    zoo = ROOT / "configs" / "sweeps" / "plane_zoo.py"
    assert find("plane_zoo:rates", "sweep") == f"{zoo}:rates"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "plane.py").write_text("")
    assert find("plane") == "configs/plane.py"
    for wrong in ("plain", "configs/plain.py"):
        with pytest.raises(UserError, match=r"did you mean '(configs/)?plane(\.py)?'"):
            find(wrong)


def test_a_missing_package_is_one_sentence_with_its_extra(monkeypatch, capsys):
    for module in ("absl", "nfml_jax.cli.train"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "absl", None)  # as if it were not installed
    assert cli.main(["train", "--config=plane"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "error: nfml train needs the package absl, which is not installed; run "
        "`pip install 'nfml_jax[training]'`.\n"
    )
    with pytest.raises(MissingExtra, match="this needs the package absl"):
        import_extra("absl", "this")
    assert explain_missing(ModuleNotFoundError(name="numpy.absent"), "this") is None


def test_data_without_its_extra_imports_and_names_it(tmp_path):
    """Each process starts anew, where nothing has been imported before."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.png").touch()
    vectors = "from nfml_jax.data.vectors import load_vectors"
    pictures = f"data.load('image_folder', root={str(tmp_path)!r})"
    for package, use, sentence in (
        ("polars", vectors, "load_vectors needs the package polars, which is not"),
        ("PIL", pictures, "the data set 'image_folder' needs the package PIL, which"),
    ):
        code = f"import sys; sys.modules[{package!r}] = None"
        code += f"; import nfml_jax.data as data; {use}"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True)
        last = done.stderr.splitlines()[-1]
        assert sentence in last and last.endswith("'nfml_jax[data]'`."), last


def test_a_shell_completes_commands_their_flags_and_configs(capsys, tmp_path):
    pytest.importorskip("shtab", reason="pip install 'nfml_jax[training]'")
    assert cli.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for words in (*cli.COMMANDS, "--workdir", "arcface_mnist"):
        assert words in script
    file = tmp_path / "nfml.bash"
    file.write_text(script)
    ask = f"source {file}; COMP_WORDS=(nfml ver); COMP_CWORD=1; _shtab_nfml"
    ask = f'{ask}; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True)
    assert done.stdout.split() == ["verify"], done
