from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from holdfast.core.errors import InputError, Interrupted
from holdfast.training.checkpoints import newest_readable, read_checkpoint
from holdfast.training.module import SupervisedModule
from small_runs import make_config, make_data

OPTIONS = {
    "dropout": ["model.dropout=0.5"],
    "cosine": ["schedule=cosine", "schedule.warmup=1epochs"],
    "step": ["schedule=step", "schedule.every_epochs=1"],
    "plateau": ["schedule=plateau", "schedule.patience=0", "schedule.threshold=0.2"],
    "momentum": ["optimizer=muon", "schedule=step", "schedule.warmup=1epochs", "schedule.momentum=[0.5,0.99]"],
    "patience": ["early_stopping=patience", "early_stopping.num_epochs=2", "optimizer=sgd"],
    "double": ["trainer.precision=64-true", "averaging=ema", "averaging.decay=0.9"],
    "mixed precision": ["trainer.precision=bf16-mixed", "model=cnn", "optimizer=sgd"],
    "ema": ["averaging=ema", "averaging.decay=0.9", "model.dropout=0.5", "averaging.start=0.3"],
    "swa": ["averaging=swa", "averaging.start=0.4", "model.dropout=0.5"],
    "augment": ["model=cnn", "augment=[crop,mirror]", "mixing=cutmix"],
    "accumulate": ["trainer.accumulate_grad_batches=3", "optimizer=momentum"],
}


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of ours catches it."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the training of this process die in its `step`-th training step."""
    plain, count = SupervisedModule.training_step, [0]

    def training_step(self: SupervisedModule, batch: Any, batch_idx: int) -> torch.Tensor:
        count[0] += 1
        if count[0] == step:
            raise Killed
        return plain(self, batch, batch_idx)

    monkeypatch.setattr(SupervisedModule, "training_step", training_step)


def outcome(folder: Path) -> tuple[Any, Any, dict[str, torch.Tensor], Any]:
    """History without times, the best, and the last weights and optimizer state."""
    fields = json.loads((folder / "run.json").read_bytes())
    history = [{name: value for name, value in entry.items() if name != "seconds"} for entry in fields["history"]]
    last = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    return history, (fields["best"], fields["stop_reason"]), last["state_dict"], last["optimizer_states"]


def assert_same(first: Path, second: Path) -> None:
    a, b = outcome(first), outcome(second)
    assert a[:2] == b[:2]
    assert all(torch.equal(a[2][name], b[2][name]) for name in a[2])
    for states in zip(a[3][0]["state"].values(), b[3][0]["state"].values(), strict=True):
        for name, value in states[0].items():
            assert value is states[1][name] or torch.equal(value, states[1][name])
    names = [sorted(path.name for path in (folder / "checkpoints").iterdir()) for folder in (first, second)]
    assert names[0] == names[1]
    csv = [(folder / "metrics.csv").read_text().splitlines() for folder in (first, second)]
    assert [line.split(",")[0] for line in csv[0]] == [line.split(",")[0] for line in csv[1]]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("step", [9, *(pytest.param(step, marks=pytest.mark.slow) for step in (3, 8, 28))])
def test_resumed_is_uninterrupted_to_the_bit(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, step: int
) -> None:
    config = make_config(*OPTIONS[option], max_epochs=5)
    data = make_data("multiclass", image="model=cnn" in OPTIONS[option])
    run(config, data, "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Killed):
            run(config, data, "killed")
    done = len(json.loads((tmp_path / "killed" / "run.json").read_bytes())["history"])
    assert done == (step - 1) // 8
    config.resume = str(tmp_path / "killed")
    record = run(config, data, "killed")
    assert [resumed["epoch"] for resumed in record.fields["resumes"]] == [done]
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_killed_again_and_again(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config("model.dropout=0.3", max_epochs=5)
    run(config, make_data("binary"), "whole")
    for step in (5, 11, 12, 9, 4):
        with monkeypatch.context() as patch:
            stop_at(patch, step)
            with pytest.raises(Killed):
                run(config, make_data("binary"), "killed")
        config.resume = "killed"
    run(config, make_data("binary"), "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_a_finished_run_stays_as_it_is(run, tmp_path: Path) -> None:
    config = make_config(max_epochs=2)
    run(config, make_data("binary"))
    before = outcome(tmp_path / "run")
    config.resume = "run"
    run(config, make_data("binary"))
    after = outcome(tmp_path / "run")
    assert before[:2] == after[:2]


def test_goes_on_from_the_best_where_the_last_is_damaged(run, tmp_path: Path) -> None:
    config = make_config(max_epochs=3)
    run(config, make_data("binary"))
    before = outcome(tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = last.read_bytes()[:-1000]
    last.unlink()
    last.write_bytes(content)
    config.resume = "run"
    run(config, make_data("binary"))
    assert before[:2] == outcome(tmp_path / "run")[:2]


def test_only_damaged_checkpoints_are_told(run, tmp_path: Path) -> None:
    config = make_config(max_epochs=1)
    run(config, make_data("binary"))
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
        path.write_bytes(b"PK")
    config.resume = "run"
    with pytest.raises(InputError, match=r"last\.ckpt: is damaged"):
        run(config, make_data("binary"))


def test_tensorboard_has_every_epoch_once(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config("logger=tensorboard", max_epochs=4)
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        # killed after the loggers wrote the second epoch and before its checkpoint
        patch.setattr("holdfast.training.epoch_callback.EpochCallback.on_train_epoch_start", _write_but_not_second)
        with pytest.raises(Killed):
            run(config, make_data("binary"))
    config.resume = "run"
    record = run(config, make_data("binary"), overrides=[])
    record.fields["overrides"] = ["lr=0.01"]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("val/loss")] == [1, 2, 3, 4]
    values = [event.value for event in events.Scalars("val/loss")]
    assert values == pytest.approx([entry["val/loss"] for entry in record.fields["history"]])
    assert [event.value for event in events.Scalars("best/val/loss")] == pytest.approx([min(values)])
    assert "_hparams_/session_start_info" in events.summary_metadata


def _write_but_not_second(self: Any, trainer: Any, pl_module: Any) -> None:
    if len(self.history) == 2:
        raise Killed
    self._write(trainer)
    self._lr = 0.0
    self.clock.start_epoch()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_between_steps(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    plain, count = SupervisedModule.training_step, [0]

    def training_step(self: SupervisedModule, batch: Any, batch_idx: int) -> torch.Tensor:
        count[0] += 1
        if count[0] == 12:
            os.kill(os.getpid(), number)
        return plain(self, batch, batch_idx)

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    config = make_config(max_epochs=3)
    with monkeypatch.context() as patch:
        patch.setattr(SupervisedModule, "training_step", training_step)
        with pytest.raises(Interrupted) as caught:
            run(config, make_data("binary"))
    assert caught.value.exit_code == 128 + number
    assert count[0] == 12
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    config.resume = "run"
    assert len(run(config, make_data("binary")).fields["history"]) == 3


def test_the_second_signal_kills_at_once(tmp_path: Path) -> None:
    code = (
        "import time\nfrom holdfast.training.interrupts import caught_signals\n"
        "with caught_signals():\n    print('ready', flush=True)\n    time.sleep(20)\n    time.sleep(20)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == -signal.SIGINT
    process.stdout.close()


class Payload:
    """What a stranger puts into a checkpoint: a call that is made when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_checkpoint_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "holdfast": Payload(tmp_path / "run")}, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="is damaged, or holds more than tensors and plain values"):
        newest_readable(tmp_path)
    assert not (tmp_path / "run").exists()
