"""What a run leaves to read: ``metrics.jsonl`` and TensorBoard event files.

The events are TensorBoard's own protocol buffers, taken from tensorboardX, so that no
TensorFlow is needed. They are written synchronously, a record a call: a killed run
keeps everything up to its last call.
"""

import json
import math
import os
import re
import socket
import struct
import time
from pathlib import Path

import numpy as np

from nfml_jax.errors import UserError

METRICS_FILE = "metrics.jsonl"
PROJECTOR_CONFIG = "projector_config.pbtxt"
PROJECTOR_DIR = "projector"
# TensorBoard's projector loads a sprite as one WebGL texture.
MAX_SPRITE_PIXELS = 4096
HISTOGRAM_BINS = 64


class NullWriter:
    """Writes nothing: the writer of every process but the first."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def scalars(self, step, values):
        """See :meth:`RunWriter.scalars`."""

    def histogram(self, step, name, values):
        """See :meth:`RunWriter.histogram`."""

    def image(self, step, name, rgb):
        """See :meth:`RunWriter.image`."""

    def text(self, step, name, markdown):
        """See :meth:`RunWriter.text`."""

    def hparams(self, hparams, metrics):
        """See :meth:`RunWriter.hparams`."""

    def embedding(self, step, name, embeddings, labels, images=None):
        """See :meth:`RunWriter.embedding`."""

    def close(self):
        """See :meth:`RunWriter.close`."""


class RunWriter(NullWriter):
    """Writes one run's metrics, histograms, images, texts and embeddings.

    A resumed run reads like an uninterrupted one: what an earlier process wrote after
    ``first_step``, the last step of the checkpoint resumed from, is dropped from
    ``metrics.jsonl`` and purged from TensorBoard. ``first_step=0`` starts anew.
    """

    def __init__(self, run_dir: Path, *, first_step: int = 0):
        self._run_dir = Path(run_dir)
        self._has_hparams = False
        purge_step = first_step + 1 if first_step else 0
        metrics_path = self._run_dir / METRICS_FILE
        if metrics_path.exists():
            _keep_metrics_before(metrics_path, purge_step)
        self._metrics = metrics_path.open("a", encoding="utf-8", newline="\n")
        self._events = _EventFile(self._run_dir, purge_step)

    def __exit__(self, exception_type, exception, traceback):
        # TensorBoard keeps the first end it reads, so a run that failed and may be
        # resumed must not write one.
        if exception_type is None and self._has_hparams:
            self._events.add(0, _session_end())
        self.close()

    def scalars(self, step: int, values: dict[str, float]):
        """Appends one line to ``metrics.jsonl`` and the same names to TensorBoard.

        JSON has no NaN nor infinities; they are written as the strings ``"NaN"``,
        ``"Infinity"`` and ``"-Infinity"``, which ``float`` reads back.
        """
        from tensorboardX.proto.summary_pb2 import Summary

        values = {name: float(value) for name, value in values.items()}
        line = {"step": int(step), "time": time.time()}
        line |= {name: _json_number(value) for name, value in values.items()}
        self._metrics.write(json.dumps(line, allow_nan=False) + "\n")
        self._metrics.flush()
        summary = Summary(
            value=[
                Summary.Value(tag=name, simple_value=value)
                for name, value in values.items()
            ]
        )
        self._events.add(step, summary)

    def histogram(self, step: int, name: str, values):
        """Adds a histogram of the finite entries of ``values``, of any shape."""
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import make_histogram

        values = np.asarray(values).astype(np.float64).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            proto = make_histogram(values, HISTOGRAM_BINS)
            self._events.add(
                step, Summary(value=[Summary.Value(tag=name, histo=proto)])
            )

    def image(self, step: int, name: str, rgb):
        """Adds a picture ``rgb``, uint8 ``[H, W, 3]``."""
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import make_image

        rgb = np.asarray(rgb)
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3:
            raise ValueError(
                f"image {name!r} is {rgb.dtype} {list(rgb.shape)}; "
                "expected uint8 [H, W, 3]"
            )
        proto = make_image(rgb)
        self._events.add(step, Summary(value=[Summary.Value(tag=name, image=proto)]))

    def text(self, step: int, name: str, markdown: str):
        """Adds a text, which TensorBoard renders as Markdown."""
        from tensorboardX.proto.plugin_text_pb2 import TextPluginData
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.proto.tensor_pb2 import TensorProto

        value = Summary.Value(
            tag=name,
            metadata=_plugin_metadata("text", TextPluginData()),
            tensor=TensorProto(dtype="DT_STRING", string_val=[markdown.encode()]),
        )
        self._events.add(step, Summary(value=[value]))

    def hparams(self, hparams: dict, metrics: list[str]):
        """Makes this run a row of TensorBoard's HParams page.

        ``hparams`` is flat; what is neither a number, a bool nor a string is shown as
        its ``str``. ``metrics`` names the scalars shown by their last value.
        """
        self._events.add(0, _session_start(hparams, metrics))
        self._has_hparams = True

    def embedding(self, step: int, name: str, embeddings, labels, images=None):
        """Shows points in TensorBoard's projector, in place of ``name``'s earlier ones.

        ``embeddings [N, D]``; ``labels``, N class names; ``images``, uint8
        ``[N, H, W]``, ``[N, H, W, 1]`` or ``[N, H, W, 3]``, become the points.
        """
        embeddings = np.asarray(embeddings).astype(np.float32)
        labels = [" ".join(str(label).split()) for label in labels]
        if embeddings.ndim != 2 or len(embeddings) != len(labels):
            raise ValueError(
                f"embedding {name!r} has shape {list(embeddings.shape)} and "
                f"{len(labels)} labels; expected [N, D] and N"
            )
        folder = PROJECTOR_DIR + "/" + re.sub(r"[^-\w.]", "_", name)
        path = self._run_dir / folder
        path.mkdir(parents=True, exist_ok=True)
        np.savetxt(path / "tensors.tsv", embeddings, fmt="%.7g", delimiter="\t")
        (path / "metadata.tsv").write_text("\n".join(labels) + "\n", encoding="utf-8")
        entry = [
            # A colon would be read as a tensor's output index.
            f"tensor_name: {json.dumps(f'{name}, step {step}')}",
            f'tensor_path: "{folder}/tensors.tsv"',
            f'metadata_path: "{folder}/metadata.tsv"',
        ]
        if images is not None:
            sprite, side = make_sprite(np.asarray(images))
            sprite.save(path / "sprite.png")
            entry.append(
                f'sprite {{ image_path: "{folder}/sprite.png" '
                f"single_image_dim: {side} single_image_dim: {side} }}"
            )
        (path / "entry.pbtxt").write_text(
            "embeddings {\n  " + "\n  ".join(entry) + "\n}\n", encoding="utf-8"
        )
        # The entries of an earlier process stay.
        entries = sorted(self._run_dir.glob(f"{PROJECTOR_DIR}/*/entry.pbtxt"))
        config = "".join(entry.read_text(encoding="utf-8") for entry in entries)
        _replace(self._run_dir / PROJECTOR_CONFIG, config)

    def close(self):
        """Closes the files; a second call does nothing."""
        self._metrics.close()
        self._events.close()


def read_metrics(path: Path) -> list[dict]:
    """The lines of a ``metrics.jsonl``, every value a float again but ``step``.

    A torn last line, as a killed run leaves it, is left out; any other line that is
    not JSON raises :class:`~nfml_jax.errors.UserError`.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give the metrics.jsonl of a run"
        ) from error
    if not lines[-1]:
        lines.pop()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            numbers = {name: float(value) for name, value in record.items()}
            records.append(numbers | {"step": int(record["step"])})
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            if number < len(lines):
                raise UserError(
                    f"{path}, line {number}, is not a line of metrics; expected "
                    '{"step": ..., "time": ..., "name": number}; remove that line'
                ) from error
    return records


def make_sprite(images: np.ndarray):
    """Images side by side in rows, as TensorBoard's projector wants them.

    ``images``, uint8 ``[N, H, W]`` or ``[N, H, W, 1 or 3]``, are padded to squares and
    shrunk where the whole would exceed ``MAX_SPRITE_PIXELS``. Returns a square PIL
    image and the side of one image in it.
    """
    from PIL import Image

    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"sprites are {images.dtype} {list(images.shape)}; "
            "expected uint8 [N, H, W] or [N, H, W, 1 or 3]"
        )
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    cells = np.zeros((columns * columns, side, side, channels), np.uint8)
    cells[:count, top : top + height, left : left + width] = images
    grid = cells.reshape(columns, columns, side, side, channels).swapaxes(1, 2)
    grid = grid.reshape(columns * side, columns * side, channels)
    sprite = Image.fromarray(np.broadcast_to(grid, (*grid.shape[:2], 3)).copy())
    if columns * side > MAX_SPRITE_PIXELS:
        side = max(1, MAX_SPRITE_PIXELS // columns)
        sprite = sprite.resize((columns * side, columns * side), Image.Resampling.BOX)
    return sprite, side


class _EventFile:
    """One TensorBoard event file, in TFRecord framing, flushed after every event."""

    def __init__(self, run_dir: Path, purge_step: int):
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        # TensorBoard reads a run's files in the order of their names: the count orders
        # those begun in the same second.
        count = len(list(run_dir.glob("events.out.tfevents.*")))
        name = f"{int(time.time())}.{socket.gethostname()}.{count:04d}"
        self._file = (run_dir / f"events.out.tfevents.{name}").open("xb")
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=purge_step, session_log=start))

    def add(self, step: int, summary):
        from tensorboardX.proto.event_pb2 import Event

        self._write(Event(wall_time=time.time(), step=int(step), summary=summary))

    def close(self):
        self._file.close()

    def _write(self, event):
        from tensorboardX.record_writer import masked_crc32c

        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        length_crc = struct.pack("<I", masked_crc32c(length))
        data_crc = struct.pack("<I", masked_crc32c(data))
        self._file.write(length + length_crc + data + data_crc)
        self._file.flush()


def _plugin_metadata(plugin: str, content):
    from tensorboardX.proto.summary_pb2 import SummaryMetadata

    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name=plugin, content=content.SerializeToString()
        )
    )


def _hparams_value(kind: str, **content):
    """A ``_hparams_/<kind>`` entry of a summary; TensorBoard reads its metadata."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary

    metadata = _plugin_metadata("hparams", HParamsPluginData(**content))
    return Summary.Value(tag=f"_hparams_/{kind}", metadata=metadata)


def _session_start(hparams: dict, metrics: list[str]):
    from tensorboardX.proto import api_pb2
    from tensorboardX.proto.plugin_hparams_pb2 import SessionStartInfo
    from tensorboardX.proto.summary_pb2 import Summary

    infos = []
    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in hparams.items():
        # bool first: it is an int to Python.
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
            kind = api_pb2.DATA_TYPE_BOOL
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
            kind = api_pb2.DATA_TYPE_FLOAT64
        else:
            start.hparams[name].string_value = str(value)
            kind = api_pb2.DATA_TYPE_STRING
        infos.append(api_pb2.HParamInfo(name=name, type=kind))
    experiment = api_pb2.Experiment(
        time_created_secs=time.time(),
        hparam_infos=infos,
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics
        ],
    )
    return Summary(
        value=[
            _hparams_value("experiment", experiment=experiment),
            _hparams_value("session_start_info", session_start_info=start),
        ]
    )


def _session_end():
    from tensorboardX.proto import api_pb2
    from tensorboardX.proto.plugin_hparams_pb2 import SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary

    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return Summary(value=[_hparams_value("session_end_info", session_end_info=end)])


def _json_number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _keep_metrics_before(path: Path, step: int):
    """Rewrites ``path`` without its torn last line and the lines from ``step`` on."""
    kept = [record for record in read_metrics(path) if record["step"] < step]
    lines = [
        json.dumps({k: _json_number(v) for k, v in record.items()}) for record in kept
    ]
    _replace(path, "".join(line + "\n" for line in lines))


def _replace(path: Path, text: str):
    """Writes ``text`` to ``path`` at once: a reader sees the old or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
