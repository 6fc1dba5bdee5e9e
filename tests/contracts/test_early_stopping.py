from __future__ import annotations

from typing import Any

import pytest

from contracts.options import build, options
from holdfast.testing import check_stopping_rule


@pytest.mark.parametrize("name", options("early_stopping"))
def test_every_rule(name: str) -> None:
    check_stopping_rule(build("early_stopping", name))


def impatient(values: Any, *, mode: str) -> tuple[bool, str]:
    return (len(values) > 100, "a hundred epochs" if len(values) > 100 else "")


def silent(values: Any, *, mode: str) -> tuple[bool, str]:
    return (len(values) > 10 and len(set(values)) == 1, "")


def sorting(values: Any, *, mode: str) -> tuple[bool, str]:
    values.sort()
    return (False, "")


@pytest.mark.parametrize(
    ("rule", "words"),
    [(impatient, "must go on"), (silent, "must give a reason"), (sorting, "must leave the values")],
)
def test_mistakes_are_found(rule: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_stopping_rule(rule)
