"""Runs that were trained before, as members."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from holdfast.core.errors import InputError
from holdfast.ensembles.make import Candidate
from holdfast.ensembles.top_k import _refuse_other_monitor


@pytest.mark.parametrize(
    ("monitors", "problems"),
    [
        (("val/loss", "val/loss"), ()),
        (("val/accuracy", "val/accuracy"), ("next: monitor=val/accuracy", "next: monitor=val/accuracy")),
        (("val/loss", "val/accuracy"), ("next: average runs with one monitor",)),
    ],
)
def test_members_were_chosen_by_the_monitor_of_the_ensemble(
    monitors: tuple[str, str], problems: tuple[str, ...]
) -> None:
    modes = {"val/loss": "min", "val/accuracy": "max"}
    records = [{"best": {"monitor": monitor, "mode": modes[monitor]}} for monitor in monitors]
    runs = [Candidate(Path(name), record, "last.ckpt") for name, record in zip("ab", records, strict=True)]
    config = OmegaConf.create({"monitor": "val/loss", "mode": "auto"})
    if not problems:
        _refuse_other_monitor(config, runs)
        return
    with pytest.raises(InputError) as raised:
        _refuse_other_monitor(config, runs)
    assert [str(problem).partition("; ")[2] for problem in raised.value.problems] == [*problems]
