"""Values, gradients and log-determinants beside those of other libraries.

`python -m tests.peers` is run by hand. It prints a line for each case: equal, different
for a stated reason, different, or failed. A module for each peer has `ours()` and
`theirs()`, which give functions of no arguments by the name of a group of cases, each
returning arrays by the name of a quantity; `PEER`, the distribution; `ENVIRONMENT`, the
peers' environment of the benchmarks that it needs, None for this project's own; and
`EXPLAINED`, a sentence for each pattern of cases that are known to differ.
"""
