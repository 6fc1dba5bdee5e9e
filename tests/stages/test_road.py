"""The whole road as a user walks it: train, sweep, runs, ensemble, freeze, open, verify, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import run_command

ROOT = Path(__file__).resolve().parents[2]
NUM_TEST_DIGITS = 359
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def typed(project: Path) -> Run:
    """Type a command in an empty folder with a home of its own."""

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOLDFAST_HOME": str(project.with_name(f"{project.name}-home")), "COLUMNS": "200"}
        done = run_command(*words, cwd=project, environment=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    fields = json.loads(done.stdout)
    assert isinstance(fields, dict)
    return fields


@pytest.fixture(scope="module")
def first(typed: Run, project: Path) -> Path:
    """The newcomer's first run."""
    done = typed("train", "hydra.run.dir=first")
    assert "best   val/loss" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "report first/report.html",
        "next   holdfast runs .   (compares runs by their val rows)",
    ]
    assert "359 test rows sealed in vault" in done.stderr
    return project / "first"


@pytest.fixture(scope="module")
def second(first: Path, typed: Run, project: Path) -> Path:
    done = typed("train", "optimizer=adam", "lr=3e-3", "seed=1", "max_epochs=8", "hydra.run.dir=second")
    assert done.stderr == "", "a second start prepares nothing and warns of nothing"
    assert done.stdout.endswith("\n       holdfast freeze second   (chooses this run for the final evaluation)\n")
    return project / "second"


@pytest.fixture(scope="module")
def ensemble(first: Path, second: Path, typed: Run, project: Path) -> Path:
    typed("train", "ensemble=members", "ensemble.runs=[first,second]", "hydra.run.dir=both")
    return project / "both"


def test_default_run_learns_digits(first: Path) -> None:
    record = json.loads((first / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["best"]["metrics"]["val/accuracy"] >= 0.95
    assert record["best"]["monitor"] == "val/loss"
    assert record["best"]["mode"] == "min"
    assert (first / record["best"]["checkpoint"]).is_file()
    assert [entry["epoch"] for entry in record["history"]] == list(range(1, 31))
    assert (record["data"]["train_rows"], record["data"]["val_rows"]) == (1078, 360)
    assert len((first / "metrics.csv").read_text().splitlines()) == 31
    assert sorted(path.name for path in (first / ".hydra").iterdir()) == ["config.yaml", "hydra.yaml", "overrides.yaml"]


@pytest.mark.slow
def test_the_same_command_gives_the_same_numbers(first: Path, typed: Run, project: Path) -> None:
    typed("train", "max_epochs=3", "hydra.run.dir=again")
    again = json.loads((project / "again" / "run.json").read_text())["history"]
    history = json.loads((first / "run.json").read_text())["history"][:3]
    without_time = [{k: v for k, v in entry.items() if k != "seconds"} for entry in again]
    assert without_time == [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


@pytest.mark.slow
def test_rows_in_memory_and_rows_from_disk_give_the_same_numbers(first: Path, typed: Run, project: Path) -> None:
    typed("train", "max_epochs=2", "data.resident=false", "data.num_workers=1", "hydra.run.dir=from_disk")
    loaded = json.loads((project / "from_disk" / "run.json").read_text())["history"]
    history = json.loads((first / "run.json").read_text())["history"][:2]
    assert [e["train/loss"] for e in loaded] == [e["train/loss"] for e in history]
    assert [e["val/loss"] for e in loaded] == [e["val/loss"] for e in history]


def test_a_sweep_gives_a_job_a_folder(first: Path, typed: Run, project: Path) -> None:
    done = typed("train", "-m", "lr=1e-2,1e-3", "seed=0,1", "max_epochs=2", "hydra.sweep.dir=sweep")
    assert "next   holdfast freeze sweep/" in done.stdout
    trials = answer(typed("holdfast", "runs", "sweep", "--json"))["trials"]
    assert sorted(folder for trial in trials for folder in trial["runs"]) == [f"sweep/{number}" for number in range(4)]
    assert {tuple(trial["overrides"]) for trial in trials} == {
        (f"lr={lr}", f"seed={seed}") for lr in ("0.01", "0.001") for seed in (0, 1)
    }
    values = [trial["value"] for trial in trials]
    assert values == sorted(values)


@pytest.mark.slow
def test_one_job_that_fails_leaves_the_others_alone(first: Path, typed: Run) -> None:
    done = typed("train", "-m", "lr=1e20,1e-3", "max_epochs=2", "hydra.sweep.dir=halves", code=1)
    assert "sweep: 1 of 2 jobs failed: 0 (train/loss: is nan in step 2" in done.stderr
    trials = answer(typed("holdfast", "runs", "halves", "--json"))["trials"]
    assert [(trial["number"], trial["status"]) for trial in trials] == [(1, "completed"), (0, "failed")]


def test_the_table_of_runs(first: Path, second: Path, typed: Run) -> None:
    table = typed("holdfast", "runs", ".").stdout
    assert "optimizer=adam lr=3e-3 seed=1" in table
    assert "best first by val/loss (min)" in table


def test_an_ensemble_is_a_run(ensemble: Path, first: Path, second: Path) -> None:
    record = json.loads((ensemble / "run.json").read_text())
    assert record["kind"] == "ensemble"
    assert [member["weight"] for member in record["ensemble"]["members"]] == [0.5, 0.5]
    assert [Path(member["run"]).name for member in record["ensemble"]["members"]] == ["first", "second"]
    assert record["best"]["metrics"]["val/accuracy"] >= 0.95


def test_freeze_open_replay_refuse_verify(ensemble: Path, first: Path, typed: Run, project: Path) -> None:
    frozen = answer(typed("holdfast", "freeze", "both", "--json"))
    assert frozen["val"]["val/accuracy"] >= 0.95
    other = answer(typed("holdfast", "freeze", "first", "--json"))
    opened = answer(typed("holdfast", "open", frozen["selection"], "--json"))
    assert (opened["n"], opened["opening"], opened["replayed"]) == (NUM_TEST_DIGITS, 1, False)
    accuracy = opened["metrics"]["accuracy"]
    assert accuracy["method"].lower().startswith("wilson")
    assert 0.9 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 1
    again = answer(typed("holdfast", "open", frozen["selection"][:8], "--json"))
    assert again["replayed"] is True
    assert again["metrics"] == opened["metrics"]
    refused = answer(typed("holdfast", "open", other["selection"], "--json", code=3))
    assert refused["error"]["code"] == "vault"
    assert typed("holdfast", "open", other["selection"], code=3).stderr.count("\n") == 1
    assert answer(typed("holdfast", "vault", "verify", "--json")) == {"ok": True, "findings": []}
    assert "digits" in typed("holdfast", "vault", "status").stdout
    entry = sorted((project.with_name(f"{project.name}-home") / "vaults").glob("*/ledger/*.json"))[1]
    entry.write_bytes(entry.read_bytes().replace(b"2", b"3", 1))
    report = answer(typed("holdfast", "vault", "verify", "--json", code=3))
    assert report["ok"] is False
    assert report["findings"]


def test_a_folder_that_holds_a_run_is_left_alone(first: Path, typed: Run) -> None:
    before = (first / "run.json").read_bytes()
    assert "holds a run already" in typed("train", "hydra.run.dir=first", code=2).stderr
    assert (first / "run.json").read_bytes() == before


def test_a_mistake_on_the_command_line_writes_nothing(first: Path, typed: Run, project: Path) -> None:
    before = sorted(project.rglob("*"))
    done = typed("train", "optimizer=adm", "lr=abc", code=2)
    assert done.stderr.splitlines() == [
        "error: optimizer: has no option 'adm'; allowed: adadelta, adagrad, adam, adamw, lbfgs, lion, momentum, muon, "
        "nadam, nesterov, radam, rmsprop, sgd; next: did you mean 'adam'?",
        "error: lr: is 'abc'; allowed: a positive number, or auto",
    ]
    assert sorted(project.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split.fractions=[0.9,0.2,0.2]"], "split.fractions: is [0.9, 0.2, 0.2]"),
        (["monitor=test/acc"], "the test rows are sealed"),
        (["monitor=val/mae"], "which no metric produces for a multiclass task"),
        (["trainer=gpu"], "trainer.accelerator: is 'gpu', but this machine has none"),
        (["data=mnist", "data.path=nowhere"], "nowhere"),
        (["resume=nowhere"], "there is no folder nowhere"),
        (["model._target_=os.system"], "'os.system' is not trusted"),
        (["model._target_=holdfast.vault.opening.open_part"], "is not trusted"),
        (["+model.widht=3"], "holdfast.models.mlp has no such argument"),
        (["trainer.limit_val_batches=0"], "which leaves no batch"),
        (["batch_size=1"], "model: does not take 1 rows"),
        (["optimizer.weight_decay=-1"], "optimizer: Invalid weight_decay"),
        (["-m", "optimizer.weight_decay=0.1,-1"], "optimizer: Invalid weight_decay"),
        (["hydra.run.dir=/proc/nope"], "cannot be made"),
    ],
)
def test_bad_input_is_a_line_and_writes_nothing(
    words: list[str], message: str, first: Path, typed: Run, project: Path
) -> None:
    import torch

    if words == ["trainer=gpu"] and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    before = sorted(project.iterdir())
    done = typed("train", *words, code=2)
    lines = done.stderr.strip().splitlines()
    assert any(message in line for line in lines), done.stderr
    assert all(line.startswith("error: ") for line in lines), done.stderr
    assert sorted(path for path in project.iterdir() if path.name != "home") == [p for p in before if p.name != "home"]


def test_a_mistake_imports_no_torch(typed: Run, project: Path) -> None:
    for words in (["--help"], ["--cfg", "job"], ["optimizer=adm", "lr=abc"]):
        program = (
            f"import sys; sys.argv = ['train.py', *{words!r}]\ntry:\n    from holdfast.cli.train import main; main()\n"
        )
        program += "finally:\n    assert not {'torch', 'pytorch_lightning'} & set(sys.modules)\n"
        done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False)
        assert "AssertionError" not in done.stderr, done.stderr
