"""A repeated run against the first one: what differs, and whether the result is the same.

The result is compared bit for bit where processor, versions, device and threads are the same and the device is the CPU:
the metrics of every epoch and the weights of the best checkpoint. Elsewhere the metrics of the best epoch are compared
within a tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from holdfast.experiment.run import Run
from holdfast.reporting.diff import KINDS, Difference, differences
from holdfast.training.metric_names import mode_of

# Measured on digits, breast_cancer and diabetes (one and two threads, three instruction sets), on MNIST (threads), and
# by the locks, which come from an Intel processor, on an AMD one.
SCORE_TOLERANCE = 0.01  # of metrics from 0 to 1: 0.0009 was the most
RELATIVE_TOLERANCE = 0.15  # of losses and errors: 0.11 was the most, of a training that goes on and on


@dataclass(frozen=True)
class Reproduction:
    """A run that was repeated."""

    source: str  # what was repeated: the folder of a run, or the name of a recipe
    run: Run  # the new run
    differences: list[Difference]  # between the two
    is_exact: bool  # whether the results were compared bit for bit, or else within the tolerance
    notes: list[str]  # what one must know to read the comparison

    @property
    def is_reproduced(self) -> bool:
        """Tell whether the result is the same."""
        return not any(item.kind == "result" for item in self.differences)

    @property
    def conclusion(self) -> str:
        """A sentence that says whether the result is the same, and what else differs."""
        kinds = [kind for kind in KINDS if kind != "result" and any(item.kind == kind for item in self.differences)]
        others = " and ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
        tolerance = f"within {RELATIVE_TOLERANCE:.0%} of a loss and {SCORE_TOLERANCE} of a score"
        manner = "bit for bit" if self.is_exact else tolerance
        if self.is_reproduced:
            return f"The result is the same, {manner}" + (f", although {others} changed." if others else ".")
        if others:
            return f"The result is not the same ({manner}): {others} changed."
        return f"The result is not the same ({manner}), and nothing else that a record tells has changed."

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": self.source,
            "run": str(self.run.folder),
            "is_reproduced": self.is_reproduced,
            "compared": "bit for bit" if self.is_exact else "within the tolerance",
            "tolerance": None if self.is_exact else {"relative": RELATIVE_TOLERANCE, "score": SCORE_TOLERANCE},
            "differences": [asdict(item) for item in self.differences],
            "notes": self.notes,
            "conclusion": self.conclusion,
        }


def compared(
    source: str,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    notes: Sequence[str],
    changed_options: Sequence[Difference],
) -> Reproduction:
    """Compare two measured records.

    Args:
        source: What was repeated.
        first: The record, or the lock, with the digests of the weights.
        second: That of the new run, with its folder.
        notes: What one must know to read the comparison.
        changed_options: What differs between the first config and what its words compose today.
    """
    rows = [*changed_options, *(row for row in differences(first, second) if row.kind != "result")]
    has_same_environment = all(row.kind != "environment" or row.name == "platform" for row in rows)
    is_exact = has_same_environment and (first["device"] in (None, "cpu") or bool(first["config"]["deterministic"]))
    rows = sorted(rows, key=lambda row: KINDS.index(row.kind)) + list(_results(first, second, is_exact=is_exact))
    return Reproduction(source, Run(Path(second["folder"])), rows, is_exact, list(notes))


def _results(first: Mapping[str, Any], second: Mapping[str, Any], *, is_exact: bool) -> Iterator[Difference]:
    """The results that came out differently; within the tolerance nothing did."""
    left_out = [] if is_exact else ["epoch", "stop reason"]
    if first["status"] in ("pruned", "interrupted"):
        left_out += ["status", "stop reason"]
    for row in differences(first, second):
        if row.kind == "result" and row.name not in left_out and (is_exact or not _is_near(row)):
            yield row
    if is_exact:
        yield from _first_other_epoch(first["history"], second["history"])
        for name in first["weights"].keys() & second["weights"].keys():
            if first["weights"][name] != second["weights"][name]:
                yield Difference("result", name, first["weights"][name], second["weights"][name])
    if first["kind"] == "check":
        verdicts = [{check["name"]: check["verdict"] for check in each["checks"]} for each in (first, second)]
        for name in verdicts[0].keys() - {"timing"}:
            if verdicts[0][name] != verdicts[1].get(name):
                yield Difference("result", name, verdicts[0][name], verdicts[1].get(name))


def _first_other_epoch(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """The first epoch whose metrics differ, and another number of epochs."""
    for entries in zip(first, second, strict=False):
        for name, value in entries[0].items():
            if "/" in name and value != entries[1].get(name):
                yield Difference("result", f"epoch {entries[0]['epoch']}, {name}", value, entries[1].get(name))
                return
    if len(first) != len(second):
        yield Difference("result", "epochs", len(first), len(second))


def _is_near(row: Difference) -> bool:
    values = row.first, row.second
    if not all(isinstance(value, float) for value in values):
        return False
    size = max(abs(value) for value in values)
    tolerance = SCORE_TOLERANCE if mode_of(row.name) == "max" else RELATIVE_TOLERANCE * size
    return bool(abs(row.first - row.second) <= tolerance)
