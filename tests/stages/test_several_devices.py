"""A run of two processes on the CPU: the numbers of one, one record, and one end for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXACT = ("trainer.precision=64-true", "model.norm=none", "batch_size=33")
TWO = "trainer=ddp_cpu"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def start(work: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words],
        cwd=work,
        env={**os.environ, "HOLDFAST_HOME": str(work.with_name(f"{work.name}-home")), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def train(work: Path, *words: str, code: int = 0, **environment: str) -> tuple[dict[str, Any] | None, str]:
    process = start(work, *words, **environment)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    folder = next((word.partition("=")[2] for word in words if word.startswith(("hydra.run.dir=", "resume="))), "")
    path = work / folder / "run.json"
    return (json.loads(path.read_text()) if folder and path.exists() else None), err


def furthest(a: list[dict[str, float]], b: list[dict[str, float]]) -> float:
    """The largest relative difference of two histories."""
    assert len(a) == len(b)
    assert [entry["step"] for entry in a] == [entry["step"] for entry in b]
    names = [name for name in a[0] if "/" in name]
    return max(abs(x[n] - y[n]) / max(abs(x[n]), 1e-300) for x, y in zip(a, b, strict=True) for n in names)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("data=diabetes", "model.hidden=[8]"),
        ("data=breast_cancer", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.5", "schedule=cosine"),
        ("model=autoencoder", "loss=reconstruction", "regularization=l2"),
    ],
    ids=["digits", "regression", "binary", "reconstruction"],
)
def test_two_processes_give_the_numbers_of_one(work: Path, words: tuple[str, ...], request: Any) -> None:
    """1078, 265 and 341 train rows in batches of 33, and val rows that two do not divide evenly."""
    name = request.node.callspec.id
    single, _ = train(work, *EXACT, *words, "max_epochs=3", "trainer=cpu", f"hydra.run.dir={name}-one")
    two, err = train(work, *EXACT, *words, "max_epochs=3", TWO, f"hydra.run.dir={name}-two")
    assert single is not None
    assert two is not None
    assert furthest(single["history"], two["history"]) < 1e-9
    assert two["best"]["metrics"].keys() == single["best"]["metrics"].keys()
    assert two["parameters"] == single["parameters"]
    assert "Traceback" not in err


def test_there_is_one_run_and_it_can_be_frozen(work: Path) -> None:
    train(work, "data=breast_cancer", TWO, "max_epochs=2", "hydra.run.dir=whole")
    assert sorted(path.name for path in work.rglob("whole/checkpoints/*.ckpt"))[-1] == "last.ckpt"
    environment = {**os.environ, "HOLDFAST_HOME": str(work.with_name(f"{work.name}-home"))}
    command = [sys.executable, "-m", "holdfast.cli.main", "freeze", "whole"]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_sweep_of_runs_on_two_devices(work: Path) -> None:
    train(work, "-m", TWO, "seed=0,1", "max_epochs=1", "hydra.sweep.dir=sweep")
    records = [json.loads(path.read_text()) for path in work.glob("sweep/*/run.json")]
    assert [record["status"] for record in records] == ["completed"] * 2


def test_an_interrupted_run_goes_on_to_the_same_numbers(work: Path) -> None:
    """SIGTERM comes in the middle of a step, where the other process waits for gradients."""
    (work / "stops.py").write_text(
        "import os, signal\nimport pytorch_lightning as pl\n"
        "class Stops(pl.Callback):\n"
        "    def on_before_backward(self, trainer, module, loss):\n"
        "        if os.environ.get('STOPS') and trainer.global_rank == 0 and trainer.current_epoch == 2:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    (work / "conf" / "callbacks").mkdir(parents=True, exist_ok=True)
    (work / "conf" / "callbacks" / "stops.yaml").write_text("# stops\nstops:\n  _target_: stops.Stops\n")
    words = [*EXACT, TWO, "max_epochs=6"]
    more = ["callbacks=stops", "trusted_modules=[stops]", "hydra.run.dir=stopped"]
    record, _ = train(work, *words, *more, code=143, STOPS="1")
    assert record is not None
    assert record["status"] == "interrupted"
    assert len(record["history"]) == 2
    resumed, _ = train(work, "resume=stopped")
    whole, _ = train(work, *words, "trainer=cpu", "trainer.precision=64-true", "hydra.run.dir=not-stopped")
    assert resumed is not None
    assert whole is not None
    assert furthest(whole["history"], resumed["history"]) < 1e-9


def test_a_killed_run_leaves_no_process(work: Path) -> None:
    process = start(work, TWO, "max_epochs=2000", "hydra.run.dir=killed")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("epoch"):
        assert process.poll() is None
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[-1:]
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path(f"/proc/{child}").exists()


def test_a_loss_that_is_no_number_ends_both(work: Path) -> None:
    record, err = train(work, TWO, "optimizer=sgd", "model.norm=none", "lr=1e30", "hydra.run.dir=nan", code=1)
    assert record is not None
    assert record["status"] == "failed"
    assert "error: train/loss: is " in err
    assert " in step " in record["stop_reason"]


def test_a_process_that_fails_fails_the_run(work: Path) -> None:
    (work / "my_part.py").write_text(
        "import os\nimport pytorch_lightning as pl\n"
        "class Breaks(pl.Callback):\n"
        "    def on_train_batch_start(self, trainer, module, batch, index):\n"
        "        if os.environ.get('LOCAL_RANK') == '1' and trainer.global_step == 5:\n"
        "            raise MemoryError('too much')\n"
    )
    (work / "conf" / "callbacks").mkdir(parents=True, exist_ok=True)
    (work / "conf" / "callbacks" / "breaks.yaml").write_text("# breaks\nbreaks:\n  _target_: my_part.Breaks\n")
    words = [TWO, "callbacks=breaks", "trusted_modules=[my_part]", "hydra.run.dir=failed"]
    record, err = train(work, *words, code=1)
    assert record is not None
    assert record["status"] == "failed"
    assert "error: rank 1: failed with MemoryError: too much" in err


def test_processes_that_something_else_has_started_are_refused(work: Path) -> None:
    _, err = train(work, TWO, code=2, WORLD_SIZE="2")
    assert "WORLD_SIZE: is set: something else has started several processes; next: start one; trainer.devices=2" in err
