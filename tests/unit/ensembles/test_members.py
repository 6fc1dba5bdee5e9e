"""What an ensemble takes over from the records of its members."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from holdfast.core.errors import InputError
from holdfast.ensembles.members import check_members, checks_of


def verdict(name: str, word: str, *causes: str, share: float = 0.0) -> dict[str, Any]:
    return {"name": name, "verdict": word, "evidence": {"share": share}, "causes": list(causes), "next": ""}


def test_equal_verdicts_on_members_are_told_once() -> None:
    first = [verdict("mistakes", "fail", "a"), verdict("baseline", "pass", share=0.9)]
    other = [verdict("mistakes", "fail", "b"), verdict("baseline", "pass", share=0.8)]
    expected = [*first, other[0]]
    assert checks_of([{"checks": first}, {"checks": first}, {"checks": other}]) == expected
    assert checks_of([{"checks": []}]) == []


@pytest.mark.parametrize(
    ("monitors", "problems"),
    [
        (("val/loss", "val/loss"), ()),
        (("val/accuracy", "val/accuracy"), ("next: monitor=val/accuracy", "next: monitor=val/accuracy")),
        (("val/loss", "val/accuracy"), ("next: average runs with one monitor",)),
    ],
)
def test_members_were_chosen_by_the_monitor_of_the_ensemble(
    monkeypatch: pytest.MonkeyPatch, monitors: tuple[str, str], problems: tuple[str, ...]
) -> None:
    modes = {"val/loss": "min", "val/accuracy": "max"}
    records = [{"best": {"monitor": monitor, "mode": modes[monitor]}} for monitor in monitors]
    folders = [Path("a"), Path("b")]
    module = sys.modules[check_members.__module__]
    monkeypatch.setattr(module, "_checked", lambda *values: (folders, records, [0.5, 0.5]))
    config = OmegaConf.create(
        {"monitor": "val/loss", "mode": "auto", "ensemble": {"runs": ["a", "b"], "weights": None}}
    )
    if not problems:
        check_members(config)
        return
    with pytest.raises(InputError) as raised:
        check_members(config)
    assert [str(problem).partition("; ")[2] for problem in raised.value.problems] == [*problems]
