"""One mistake that a probe has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """A mistake, and how it shows.

    Attributes:
        mistake: A short name, the same for every subject.
        word: "fail" where the evidence is certain, else "doubtful".
        cause: What is wrong, in a sentence.
        next: What to change.
        evidence: Numbers by name.
    """

    mistake: str
    word: Literal["fail", "doubtful"]
    cause: str
    next: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
