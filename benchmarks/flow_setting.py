"""The settings that the flows of all implementations of `flows.py` share."""

from pathlib import Path

BINS, BOUND, RATE = 8, 3.0, 1e-4
ROOT = Path(__file__).resolve().parents[1]
