"""One mistake that a probe has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """A mistake, and how it shows."""

    mistake: str  # a short name, the same for every subject
    word: Literal["fail", "doubtful"]  # "fail" where the evidence is certain, else "doubtful"
    cause: str  # what is wrong, in a sentence
    next: str  # what to change
    evidence: Mapping[str, Any] = field(default_factory=dict)  # numbers by name
