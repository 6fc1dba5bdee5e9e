from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core.errors import InputError
from holdfast.core.run_record import RunRecord
from holdfast.training import loggers


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    nodes = {
        "wandb": {"_target_": "pytorch_lightning.loggers.WandbLogger"},
        "tensorboard": {"_target_": "pytorch_lightning.loggers.TensorBoardLogger"},
    }
    with pytest.raises(InputError, match=r"^logger\.wandb: wandb is not installed; next: pip install wandb$"):
        loggers.check_loggers(nodes)


def test_where_mlflow_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = RunRecord(tmp_path, {"config": {"paths": {"output": str(tmp_path / "outputs")}}})
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert loggers._mlflow_address(record) == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert loggers._mlflow_address(record) == "http://host:5000"
