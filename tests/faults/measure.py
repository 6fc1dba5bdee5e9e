"""Runs the checks on every program and reports what they find: `python tests/faults/measure.py [tuning|reported]`.

Thresholds were tuned on the first half of the programs; the figures to quote are those of the second, with Wilson's
intervals at 95 %.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import fault_programs as programs
from fault_programs import Case


def verdicts_of(case: Case) -> list[Any]:
    """What `mistakes`, `gradient` and `chance_loss` say of a case."""
    from holdfast.checks import chance_loss, gradient, mistakes
    from holdfast.checks.subject import Subject
    from holdfast.experiment.experiment import Experiment

    parts = {
        "model": functools.partial(programs.model, program=case.program, variant=case.model),
        "loss": functools.partial(programs.loss, variant=case.loss),
    }
    overrides = [f"data={programs.PROGRAMS[case.program].data}", "logger=none", "trainer=cpu"]
    subject = Subject(Experiment.compose(overrides, parts=parts))
    return [*mistakes(subject), *gradient(subject), *chance_loss(subject)]


def named(verdicts: Sequence[Any]) -> list[str]:
    """The mistakes that verdicts name, the first one first; a failed gradient check counts as "gradient"."""
    names = []
    for verdict in sorted(verdicts, key=lambda verdict: verdict.verdict != "fail"):
        if verdict.verdict in ("fail", "doubtful"):
            own = [name for name in verdict.evidence if name != "not_looked_at"]
            names += own if verdict.name == "mistakes" else [verdict.name]
    return names


def wilson(hits: int, count: int) -> str:
    """A share with its interval."""
    if not count:
        return "none"
    z, share = 1.96, hits / count
    centre, spread = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    low, high = (centre - spread) / (1 + z * z / count), (centre + spread) / (1 + z * z / count)
    return f"{hits} of {count}: {100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def main(half: str = "reported") -> None:
    """Print every case that is not as it should be, and the sums."""
    chosen = programs.HALVES[0 if half == "tuning" else 1]
    counts = {"faulty": 0, "found": 0, "first": 0, "healthy": 0, "accused": 0, "doubted": 0}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["HOLDFAST_HOME"] = f"{folder}/home"
        for case in programs.cases():
            if case.program not in chosen:
                continue
            started = time.process_time()
            verdicts = verdicts_of(case)
            names = named(verdicts)
            words = {verdict.verdict for verdict in verdicts}
            is_right = not names if not case.expected else bool(names) and names[0] in case.expected
            if case.expected:
                counts["faulty"] += 1
                counts["found"] += bool(names)
                counts["first"] += is_right
            else:
                counts["healthy"] += 1
                counts["accused"] += "fail" in words
                counts["doubted"] += "fail" not in words and "doubtful" in words
            if not is_right or "skipped" in words:
                causes = [
                    (v.verdict, *v.causes[:2], v.evidence.get("reason", "")) for v in verdicts if v.verdict != "pass"
                ]
                print(f"{case.name}: {names} for {case.expected}\n    {causes}", flush=True)
            if verdicts[0].evidence.get("not_looked_at"):
                print(f"{case.name}: {verdicts[0].evidence['not_looked_at']}")
            if time.process_time() - started > 10:
                print(f"{case.name}: {time.process_time() - started:.0f} s")
    print(f"found        {wilson(counts['found'], counts['faulty'])}")
    print(f"cause first  {wilson(counts['first'], counts['faulty'])}")
    print(f"healthy with fail      {wilson(counts['accused'], counts['healthy'])}")
    print(f"healthy with doubtful  {wilson(counts['doubted'], counts['healthy'])}")


if __name__ == "__main__":
    main(*sys.argv[1:])
