"""What an ensemble takes over from the records of its members."""

from __future__ import annotations

from typing import Any

from holdfast.ensembles.make import checks_of


def verdict(name: str, word: str, *causes: str, share: float = 0.0) -> dict[str, Any]:
    return {"name": name, "verdict": word, "evidence": {"share": share}, "causes": list(causes), "next": ""}


def test_equal_verdicts_on_members_are_told_once() -> None:
    first = [verdict("mistakes", "fail", "a"), verdict("baseline", "pass", share=0.9)]
    other = [verdict("mistakes", "fail", "b"), verdict("baseline", "pass", share=0.8)]
    expected = [*first, other[0]]
    assert checks_of([{"checks": first}, {"checks": first}, {"checks": other}]) == expected
    assert checks_of([{"checks": []}]) == []
