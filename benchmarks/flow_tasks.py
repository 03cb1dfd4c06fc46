"""The tasks of a flow, their records and tables, for `flows.py` and `images.py`.

Each script has implementations of one kind of flow and descriptions of its cases.
"""

from collections.abc import Callable, Mapping, Sequence

from harness import KINDS, in_units, ratios, record, run_alternately, spread

OURS = "nfml_jax"
TASKS = "train", "log_prob", "sample"


def repeated(tasks: Mapping[str, Callable], runs: int) -> dict[str, Callable]:
    """Return functions that do each task `runs` times."""

    def several(task):
        def run():
            for _ in range(runs):
                task()

        return run

    return {name: several(task) for name, task in tasks.items()}


def measure(name: str, unit: str, pythons: Mapping[str, str], args) -> list[dict]:
    """Return the records of all tasks of the case `name`, "flows 6x5x128".

    `pythons` is the interpreter of each implementation, and `unit` the name of a row.
    """
    by_task = run_alternately(pythons, TASKS, args, ["--case", name.split()[-1]])
    given = {"batch": args.batch, "runs": args.runs}
    return [
        record(
            f"{name} {task}",
            f"{args.batch} {unit}",
            OURS,
            in_units(timings, args.runs),
            args,
            **given,
        )
        for task, timings in by_task.items()
    ]


def report(
    what: str, results: Sequence[Mapping], args, works: Sequence[str] = ("",) * 3
):
    """Return the tables of a case.

    `what` describes the flow, and `works` the work of each task if it is known.
    """
    lines = [
        f"{what}, batch {args.batch}, {args.threads} thread(s); median (least-most) "
        "of the repeats."
    ]
    for name, facts in results[0]["implementations"].items():
        words = [facts["version"], f"parameters {facts['parameters']}"]
        for task, result in zip(TASKS, results, strict=True):
            if seconds := result["implementations"][name]["compile"]:
                trace, compile = seconds
                words.append(
                    f"{task} traced + compiled in {trace:.1f} + {compile:.1f} s"
                )
        lines.append(f"{name}: {', '.join(words)}")
    if not args.repeats:
        return "\n".join(lines)
    titles = [f"{task}{work}, ms" for task, work in zip(TASKS, works, strict=True)]
    for title, result in zip(titles, results, strict=True):
        lines.append(f"{title:32}{'wall':>24}{'CPU':>24}")
        timings, peer = result["implementations"], result["peer"]
        rows = {
            name: [spread(facts[kind], 1, 1e3) for kind in KINDS]
            for name, facts in timings.items()
        }
        if peer:
            rows[f"to {peer}"] = [
                spread(ratios(timings, OURS, peer, kind), 2) for kind in KINDS
            ]
        for name, (wall, cpu) in rows.items():
            lines.append(f"  {name:30}{wall:>24}{cpu:>24}")
    return "\n".join(lines)
