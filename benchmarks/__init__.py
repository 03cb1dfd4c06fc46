"""Timings beside peers: `python -m benchmarks`, and a script for each of them."""
