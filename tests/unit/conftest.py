"""Runs over small made-up data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from holdfast.core.run_record import RunRecord
from small_runs import Data


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, with a home of its own beside it: no key may lie inside of a project."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def home_with_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOLDFAST_HOME in which the digits are prepared."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_HOME", str(home))
        patch.chdir(tmp_path_factory.mktemp("project"))  # where the lock is written
        from holdfast.experiment.experiment import Experiment

        Experiment.compose(["check=none", f"hydra.run.dir={home}/none"]).prepare()
    return home


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., RunRecord]]:
    """run(config, data, name) trains in a folder of that name and gives the record; with `resume` it goes on there."""
    from holdfast.training.fit import build, fit
    from holdfast.training.trainer import build_trainer

    records: list[RunRecord] = []

    def train(
        config: DictConfig,
        rows: Data,
        name: str = "run",
        *,
        reporter: Any = None,
        callbacks: Sequence[Any] = (),
        **fields: Any,
    ) -> RunRecord:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        if config.resume:
            record = RunRecord.reopen(folder)
        else:
            plain = OmegaConf.to_container(config, resolve=True)
            record = RunRecord.create(folder, config=plain, monitor=config.monitor, mode=config.mode, **fields)
        records.append(record)
        trainer = build_trainer(config, folder)
        trainer.callbacks += callbacks
        status = fit(build(config, rows, trainer), record, reporter)
        record.finish(status, record.fields["stop_reason"])
        return record

    yield train
    for record in records:
        record._stop.set()
        if record._heart is not None:
            record._heart.join()
