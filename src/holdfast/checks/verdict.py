"""The answer of a check: a verdict, the numbers behind it, likely causes, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Word = Literal["pass", "doubtful", "fail", "skipped"]
GRAVEST_FIRST: tuple[Word, ...] = ("fail", "doubtful", "pass", "skipped")
FILE_NAME = "checks.json"  # in the folder of a sweep: the verdicts for its runs
LEVELS = 3  # from the folder of a run up to that of its sweep


@dataclass(frozen=True)
class Verdict:
    """The answer of one check."""

    name: str
    # "fail" only where the evidence is certain, "doubtful" where a person should look, "pass", or "skipped" where the
    # check could not run or does not apply
    verdict: Word
    # numbers by name, as JSON has them; of a skipped check the `reason`
    evidence: Mapping[str, Any] = field(default_factory=dict)
    causes: tuple[str, ...] = ()  # sentences, the likeliest first; empty where nothing is wrong
    next: str = ""  # what to change or to type; empty where nothing is wrong

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Verdict:
        """The verdict that a record holds."""
        return cls(**{**plain, "causes": tuple(plain["causes"])})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return {**asdict(self), "causes": list(self.causes)}


def checked_sweep(run: Path) -> Path | None:
    """The folder of the sweep that keeps the verdicts for a run; None where the run is on its own."""
    folders = [run, *run.absolute().parents[:LEVELS]]
    return next((folder for folder in folders if (folder / FILE_NAME).is_file()), None)


def skipped(name: str, reason: str) -> Verdict:
    """The verdict of a check that could not run, or does not apply."""
    return Verdict(name, "skipped", {"reason": reason})


def gravest(words: Iterable[Word]) -> Word:
    """The gravest of several verdicts; "skipped" of none."""
    present = set(words)
    return next((word for word in GRAVEST_FIRST if word in present), "skipped")
