"""Runs the checks on programs and reports what they find.

`python tests/faults/measure.py [tuning|reported|kinds|strangers]`.

Thresholds were tuned on the first half of the programs; the figures of the second are reported, with Wilson's intervals
at 95 %. `kinds` are other kinds of mistakes (`other_kinds.py`), `strangers` are options of a project (`strangers.py`);
what their first measurements gave stands in `docs/check-before-you-train.md`.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import fault_programs
import other_kinds
import stranger_programs
from fault_programs import Case


def verdicts_of(case: Case) -> list[Any]:
    """What the checks say of a variant of a program."""
    parts = {
        "model": functools.partial(fault_programs.model, program=case.program, variant=case.model),
        "loss": functools.partial(fault_programs.loss, variant=case.loss),
    }
    return _verdicts([f"data={fault_programs.PROGRAMS[case.program].data}"], parts)


def verdicts_of_kind(name: str) -> list[Any]:
    """What the checks say of another kind; its data lie in the working folder (`other_kinds.write_data`)."""
    parts = {
        "model": functools.partial(other_kinds.model, kind=name),
        "loss": functools.partial(other_kinds.loss, kind=name),
    }
    return _verdicts(other_kinds.DATA[other_kinds.KINDS[name].data], parts)


def verdicts_of_stranger(name: str) -> list[Any]:
    """What the checks say of an option of the project in the working folder (`stranger_programs.write_project`)."""
    return _verdicts(overrides_of(name), {})


def overrides_of(name: str) -> list[str]:
    """The settings of a stranger's program."""
    program = stranger_programs.PROGRAMS[name]
    return [*stranger_programs.DATA[program.data], *program.overrides, "trusted_modules=[strangers]"]


def _verdicts(overrides: Sequence[str], parts: dict[str, Any]) -> list[Any]:
    """The verdicts of `mistakes`, `gradient` and `chance_loss`; one where the experiment is refused with the reason."""
    from holdfast.checks import chance_loss, gradient, mistakes
    from holdfast.checks.subject import Subject
    from holdfast.checks.verdict import Verdict
    from holdfast.core.errors import InputError
    from holdfast.experiment.experiment import Experiment

    try:
        subject = Subject(Experiment.compose([*overrides, "logger=none", "trainer=cpu"], parts=parts))
    except InputError as error:
        return [Verdict("refused", "fail", {}, (str(error),))]
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


def main(part: str = "reported") -> None:
    """Print every program that is not as it should be, and the sums."""
    counts = {"faulty": 0, "found": 0, "first": 0, "healthy": 0, "accused": 0, "doubted": 0}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        project.mkdir()
        os.chdir(project)
        os.environ["HOLDFAST_HOME"] = f"{folder}/home"
        other_kinds.write_data(project)
        stranger_programs.write_project(project)
        for name, expected, look in _programs(part):
            started = time.process_time()
            verdicts = look()
            names = named(verdicts)
            words = {verdict.verdict for verdict in verdicts}
            is_right = not names if not expected else bool(names) and names[0] in expected
            if expected:
                counts["faulty"] += 1
                counts["found"] += bool(names)
                counts["first"] += is_right
            else:
                counts["healthy"] += 1
                counts["accused"] += "fail" in words
                counts["doubted"] += "fail" not in words and "doubtful" in words
            if not is_right:
                print(f"{name}: {names} for {expected}\n    {[v.causes[:2] for v in verdicts if v.causes]}", flush=True)
            if time.process_time() - started > 10:
                print(f"{name}: {time.process_time() - started:.0f} s")
    print(f"found        {wilson(counts['found'], counts['faulty'])}")
    print(f"cause first  {wilson(counts['first'], counts['faulty'])}")
    print(f"healthy with fail      {wilson(counts['accused'], counts['healthy'])}")
    print(f"healthy with doubtful  {wilson(counts['doubted'], counts['healthy'])}")


def _programs(part: str) -> Iterator[tuple[str, tuple[str, ...], Callable[[], list[Any]]]]:
    """Name, the mistakes that are expected, and a call that looks for them, of each program."""
    if part == "kinds":
        for name, kind in other_kinds.KINDS.items():
            yield name, kind.expected, functools.partial(verdicts_of_kind, name)
        return
    if part == "strangers":
        for name, program in stranger_programs.PROGRAMS.items():
            yield name, program.expected, functools.partial(verdicts_of_stranger, name)
        return
    for case in fault_programs.cases():
        if case.program in fault_programs.HALVES[0 if part == "tuning" else 1]:
            yield case.name, case.expected, functools.partial(verdicts_of, case)


if __name__ == "__main__":
    main(*sys.argv[1:])
