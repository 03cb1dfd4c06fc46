"""What the flows of all sides of `flows.py` have alike."""

from pathlib import Path

BINS, BOUND, RATE = 8, 3.0, 1e-4
ROOT = Path(__file__).resolve().parents[1]


def named(name: str, version: str, facts: dict) -> dict:
    """The facts with the library's version before that of what it stands on."""
    return facts | {"version": f"{name} {version}, {facts['version']}"}
