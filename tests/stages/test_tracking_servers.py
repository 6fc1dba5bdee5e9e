"""Tracking services of others: MLflow against a real server on this machine, Weights & Biases offline."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import run_command

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def train(work: Path, *words: str, **more: str) -> dict[str, Any]:
    environment = {**os.environ, "HOLDFAST_HOME": str(work.with_name(f"{work.name}-home")), **more}
    done = run_command("train", "hydra.run.dir=run", *words, cwd=work, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    record: dict[str, Any] = json.loads((work / "run" / "run.json").read_bytes())
    return record


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"], stdout=log, stderr=log, cwd=tmp_path
        )
        try:
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{address}/health").close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def asked(address: str, run_id: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/api/2.0/mlflow/runs/get?run_id={run_id}") as answer:
        run: dict[str, Any] = json.load(answer)["run"]
    return run


def test_mlflow_has_the_metrics_and_the_choices(server: str, tmp_path: Path) -> None:
    record = train(tmp_path, "logger=mlflow", "max_epochs=2", "lr=2e-3", MLFLOW_TRACKING_URI=server)
    run = asked(server, record["loggers"]["mlflow"])
    assert run["info"]["run_name"] == "run"
    assert run["info"]["status"] == "FINISHED"
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    last = record["history"][-1]
    assert {name: metrics[name] for name in last if "/" in name} == pytest.approx(
        {name: value for name, value in last.items() if "/" in name}
    )
    chosen = {param["key"]: param["value"] for param in run["data"]["params"]}
    assert (chosen["lr"], chosen["model"]) == ("0.002", "mlp")
    assert server not in (tmp_path / "run" / "run.json").read_text()


def test_wandb_offline(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    record = train(tmp_path, "logger=wandb", "logger.wandb.offline=true", "max_epochs=1")
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert folder.name.endswith(record["loggers"]["wandb"])
    assert list(folder.glob("*.wandb"))
