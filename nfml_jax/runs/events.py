"""TensorBoard event files: scalars, histograms, images and hyperparameters.

The events are TensorBoard's own protocol buffers, taken from tensorboardX, so that no
TensorFlow is needed. They are written synchronously, one record per call: a killed run
keeps everything up to its last call.
"""

import importlib
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np

HISTOGRAM_BINS = 64


class EventWriter:
    """A writer of TensorBoard's view of one run; a context manager.

    Events of an earlier process after `first_step`, the last step of the checkpoint
    that was resumed from, are purged; 0 purges all of them.
    """

    def __init__(self, run_dir: Path, *, first_step: int = 0):
        self._run_dir = Path(run_dir)
        self._done = False
        self._events = _EventFile(self._run_dir, first_step + 1 if first_step else 0)

    def __enter__(self):
        return self

    def __exit__(self, exception_type, exception, traceback):
        # TensorBoard keeps the first end that it reads, so a run that failed and may be
        # resumed must not write one.
        if exception_type is None and self._done:
            self._events.add(0, _session_end())
        self.close()

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Add a point to the curve of each name."""
        Summary = _proto("summary_pb2").Summary

        points = [
            Summary.Value(tag=name, simple_value=float(value))
            for name, value in values.items()
        ]
        self._events.add(step, Summary(value=points))

    def histogram(self, step: int, name: str, values):
        """Add a histogram of the finite entries of `values`, of any shape."""
        Summary = _proto("summary_pb2").Summary
        from tensorboardX.summary import make_histogram

        values = np.asarray(values).astype(np.float64).ravel()
        values = values[np.isfinite(values)]
        if values.size:
            proto = make_histogram(values, HISTOGRAM_BINS)
            self._events.add(
                step, Summary(value=[Summary.Value(tag=name, histo=proto)])
            )

    def image(self, step: int, name: str, rgb):
        """Add a picture `rgb`, uint8 `[H, W, 3]`."""
        Summary = _proto("summary_pb2").Summary
        from tensorboardX.summary import make_image

        rgb = np.asarray(rgb)
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3:
            raise ValueError(
                f"image {name!r} is {rgb.dtype} {list(rgb.shape)}; "
                "expected uint8 [H, W, 3]"
            )
        proto = make_image(rgb)
        self._events.add(step, Summary(value=[Summary.Value(tag=name, image=proto)]))

    def hparams(
        self, hparams: dict, metrics: list[str] | None = None, *, done: bool = True
    ):
        """Add this run as a row of TensorBoard's HParams page.

        `hparams` is flat; a value that is not a number, a bool or a string is shown as
        its `str`. `metrics` names the scalars that are shown by their last value.
        Without it, as for a run in a sweep, TensorBoard shows all of them, and first
        the hyperparameters in which the runs differ. A run that is not `done` is shown
        without an end.
        """
        self._events.add(0, _session_start(hparams, metrics))
        self._done = done

    def close(self):
        """Close the file; a second call does nothing."""
        self._events.close()


class _EventFile:
    """A TensorBoard event file, in TFRecord framing, flushed after every event."""

    def __init__(self, run_dir: Path, purge_step: int):
        Event, SessionLog = _proto("event_pb2").Event, _proto("event_pb2").SessionLog

        # TensorBoard reads a run's files in the order of their names: the count orders
        # files begun in the same second.
        count = len(list(run_dir.glob("events.out.tfevents.*")))
        name = f"{int(time.time())}.{socket.gethostname()}.{count:04d}"
        self._file = (run_dir / f"events.out.tfevents.{name}").open("xb")
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=purge_step, session_log=start))

    def add(self, step: int, summary):
        Event = _proto("event_pb2").Event

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


def _proto(name: str) -> Any:
    """Return a module of protocol buffers, imported where it is first needed.

    Its classes are made at import, where no type checker sees them.
    """
    return importlib.import_module(f"tensorboardX.proto.{name}")


def _plugin_metadata(plugin: str, content):
    SummaryMetadata = _proto("summary_pb2").SummaryMetadata

    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name=plugin, content=content.SerializeToString()
        )
    )


def _hparams_value(kind: str, **content):
    """Return a `_hparams_/<kind>` entry of a summary, which holds metadata only."""
    HParamsPluginData = _proto("plugin_hparams_pb2").HParamsPluginData
    Summary = _proto("summary_pb2").Summary

    metadata = _plugin_metadata("hparams", HParamsPluginData(**content))
    return Summary.Value(tag=f"_hparams_/{kind}", metadata=metadata)


def _session_start(hparams: dict, metrics: list[str] | None):
    api_pb2 = _proto("api_pb2")
    SessionStartInfo = _proto("plugin_hparams_pb2").SessionStartInfo
    Summary = _proto("summary_pb2").Summary

    infos = []
    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in hparams.items():
        # bool comes first, because it is an int in Python.
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
            kind = api_pb2.DATA_TYPE_BOOL
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
            kind = api_pb2.DATA_TYPE_FLOAT64
        else:
            # A path may contain bytes that are not UTF-8.
            text = str(value).encode("utf-8", "backslashreplace").decode()
            start.hparams[name].string_value = text
            kind = api_pb2.DATA_TYPE_STRING
        infos.append(api_pb2.HParamInfo(name=name, type=kind))
    entries = [_hparams_value("session_start_info", session_start_info=start)]
    if metrics is not None:
        experiment = api_pb2.Experiment(
            time_created_secs=time.time(),
            hparam_infos=infos,
            metric_infos=[
                api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics
            ],
        )
        entries.append(_hparams_value("experiment", experiment=experiment))
    return Summary(value=entries)


def _session_end():
    api_pb2 = _proto("api_pb2")
    SessionEndInfo = _proto("plugin_hparams_pb2").SessionEndInfo
    Summary = _proto("summary_pb2").Summary

    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return Summary(value=[_hparams_value("session_end_info", session_end_info=end)])
