"""The answer of a check: a verdict, the numbers behind it, likely causes, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Word = Literal["pass", "doubtful", "fail", "skipped"]
GRAVEST_FIRST: tuple[Word, ...] = ("fail", "doubtful", "pass", "skipped")


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


def skipped(name: str, reason: str) -> Verdict:
    """The verdict of a check that could not run, or does not apply."""
    return Verdict(name, "skipped", {"reason": reason})


def gravest(words: Iterable[Word]) -> Word:
    """The gravest of several verdicts; "skipped" of none."""
    present = set(words)
    return next((word for word in GRAVEST_FIRST if word in present), "skipped")
