from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from contracts.options import build, options
from holdfast.data.splits import Mask, SplitFacts
from holdfast.splits import Holdout
from holdfast.testing import check_split


@pytest.mark.parametrize("name", options("split"))
def test_every_split(name: str) -> None:
    check_split(build("split", name)())


@dataclass(frozen=True)
class ByPlace(Holdout):
    """Goes by where rows stand."""

    first: int = 480

    def test_rows(self, facts: SplitFacts) -> Mask:
        return np.arange(len(facts)) >= self.first


@dataclass(frozen=True)
class NoTest(Holdout):
    def test_rows(self, facts: SplitFacts) -> Mask:
        return np.zeros(len(facts), bool)


@dataclass(frozen=True)
class Rule(Holdout):
    def test_rule(self) -> dict[str, Any]:
        return {"fractions": (0.6, 0.2, 0.2)}


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (ByPlace(first=481), "stay on one side"),
        (ByPlace(), "must not depend on the order"),
        (NoTest(), "the test part must have rows"),
        (Rule(), "must be plain values"),
    ],
)
def test_mistakes_are_found(split: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_split(split)
