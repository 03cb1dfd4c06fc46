"""Ctrl-C and SIGTERM as stop requests, which are granted at the next safe point."""

import signal
import threading


class Interrupted(Exception):
    """Raised at a safe point after the user, or the scheduler, has requested a stop."""


class Interrupts:
    """A context in which SIGINT and SIGTERM set `requested`; a second Ctrl-C stops.

    Outside the main thread signals can't be caught, and nothing is changed.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.requested: str | None = None
        self._earlier = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                self._earlier[number] = signal.signal(number, self._note)
                around = getattr(self._earlier[number], "__self__", None)
                if isinstance(around, Interrupts):
                    self.requested = around.requested  # by a sweep
        return self

    def __exit__(self, *_):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"

    def check(self) -> None:
        """Raise Interrupted if a stop is requested."""
        if self.requested:
            raise Interrupted(self.requested)
