from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError, RunFailed
from holdfast.training.checkpoints import read_checkpoint
from holdfast.training.restore import load_model
from small_runs import expected_names, make_config, make_data


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
def test_every_task_has_its_metrics_and_predictions(run, tmp_path: Path, task: str) -> None:
    data = make_data(task)
    record = run(make_config(max_epochs=3), data)
    history = record.fields["history"]
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert [entry["step"] for entry in history] == [8, 16, 24]
    assert set(expected_names(task)) == {name for name in history[0] if "/" in name}
    assert all(math.isfinite(value) for entry in history for value in entry.values())
    restored = load_model(tmp_path / "run")
    predicted = restored.predict(data.val_x.numpy())
    best = record.fields["best"]
    assert restored.checkpoint == tmp_path / "run" / best["checkpoint"]
    assert predicted.dtype == np.float32
    y = data.val_y.numpy()
    if task == "regression":
        assert predicted.shape == (40,)
        assert np.abs(predicted - y).mean() == pytest.approx(best["metrics"]["val/mae"], rel=1e-5)
    else:
        chosen = predicted.argmax(axis=1) if task == "multiclass" else predicted > 0.5
        right = chosen == y if task != "multilabel" else (chosen == y).all(axis=1)
        assert right.mean() == pytest.approx(best["metrics"]["val/accuracy"], abs=1e-6)


def test_record_and_files(run, tmp_path: Path) -> None:
    record = run(make_config(max_epochs=4, monitor="val/accuracy"), make_data("multiclass"))
    fields = json.loads((tmp_path / "run" / "run.json").read_bytes())
    best = fields["best"]
    values = [entry["val/accuracy"] for entry in fields["history"]]
    assert best["value"] == max(values)
    assert best["epoch"] == values.index(max(values)) + 1
    assert (best["monitor"], best["mode"]) == ("val/accuracy", "max")
    name = f"best-epoch{best['epoch']:02d}-val_accuracy{best['value']:.4f}.ckpt"
    assert best["checkpoint"] == f"checkpoints/{name}"
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [name, "last.ckpt"]
    assert set(best["metrics"]) == {name for name in expected_names("multiclass") if name.startswith("val/")}
    assert set(fields["timings"]) == {"start_up", "first_step", "step_data", "step_compute"}
    assert (fields["device"], fields["precision"]) == ("cpu", "32-true")
    assert fields["parameters"] == 6 * 128 + 256 + 128 * 64 + 128 + 64 * 3 + 3
    assert fields["stop_reason"] == "all 4 epochs are done"
    assert len(read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["holdfast"]["history"]) == 4
    assert record.fields["resumes"] == []


@pytest.mark.parametrize("seconds", [0.0, 100.0])
def test_the_disk_is_waited_for_now_and_then_and_at_the_end(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    files: list[tuple[str, int]] = []  # names of checkpoints that were made durable, with the epochs in the record

    def sync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.parent.name == "checkpoints":
            files.append((path.name, len(json.loads((tmp_path / "run" / "run.json").read_bytes())["history"])))

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr("holdfast.training.epoch_callback.DURABLE_S", seconds)
    record = run(make_config(max_epochs=3), make_data("binary"))
    assert [epochs for name, epochs in files if name.startswith(".last")] == ([0, 0, 1, 2] if seconds == 0 else [2])
    assert files[-1] == (Path(record.fields["best"]["checkpoint"]).name, 3)


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_precisions(run, precision: str) -> None:
    record = run(make_config(f"trainer.precision={precision}"), make_data("regression"))
    assert record.fields["precision"] == precision


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_optimizers_and_schedules_train(run, optimizer: str, schedule: str) -> None:
    config = make_config(f"optimizer={optimizer}", f"schedule={schedule}", "trainer.accumulate_grad_batches=3")
    record = run(config, make_data("binary"))
    assert [entry["step"] for entry in record.fields["history"]] == [3, 6]


def test_clipping_and_cnn_on_small_images(run) -> None:
    config = make_config("model=cnn", "trainer.gradient_clip_val=1.0", "trainer.gradient_clip_algorithm=norm")
    assert run(config, make_data("multiclass", image=True)).fields["best"]["value"] < 2


def test_rate_of_the_cosine_is_recorded(run) -> None:
    record = run(make_config("schedule=cosine", max_epochs=4), make_data("multiclass"))
    expected = [0.01 * 0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    assert [entry["lr"] for entry in record.fields["history"]] == pytest.approx(expected)


def test_patience_stops(run) -> None:
    config = make_config("early_stopping=patience", "early_stopping.num_epochs=2", max_epochs=50, lr=1e-12)
    record = run(config, make_data("multiclass"))
    assert len(record.fields["history"]) < 50
    assert record.fields["stop_reason"].startswith("no improvement")


def test_a_loss_that_is_not_finite_fails_with_the_reason(run, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"train/loss: is (nan|inf) in step \d \(epoch 1, batch \d, lr 1e\+20\)"):
        run(make_config("optimizer=sgd", "model.norm=none", lr=1e20, max_epochs=5), make_data("regression"))
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())


@pytest.mark.parametrize(
    ("overrides", "where", "word"),
    [
        (["loss=cross_entropy"], "loss", "regression"),
        (["model=cnn"], "model=cnn", "takes images"),
        (["optimizer.eps=-1"], "optimizer", "Invalid epsilon"),
        (["trainer.precision=16-mxied"], "trainer", "precision"),
        (["schedule=cosine", "schedule.warmup=5"], "schedule.warmup", "did you mean '5epochs' or '5steps'?"),
        (["schedule=cosine", "schedule.warmup=5epochs"], "schedule.warmup", "fewer than the"),
        (
            ["trainer.gradient_clip_val=-1"],
            "trainer.gradient_clip_val",
            "is -1",
        ),
        (["trainer.precision=transformer-engine"], "trainer", "transformer_engine"),
        (
            ["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1", "optimizer.fused=true"],
            "optimizer.fused",
            "null, false",
        ),
        (["model.activation=rellu"], "model.activation", "did you mean 'relu'"),
    ],
)
def test_parts_that_do_not_fit_are_told_in_one_line(run, overrides: list[str], where: str, word: str) -> None:
    with pytest.raises(InputError) as caught:
        run(make_config(*overrides), make_data("regression"))
    assert str(caught.value).startswith(f"{where}: ")
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_debug_run_that_overfits_keeps_all_units(run, tmp_path: Path) -> None:
    data = make_data("multiclass")
    plain = run(make_config(max_epochs=2), data, "plain").fields["history"]
    words = ("model.dropout=0.5", "+debug.preset=overfit")
    without = run(make_config(*words, max_epochs=2), data, "without").fields["history"]
    assert [entry["train/loss"] for entry in without] == [entry["train/loss"] for entry in plain]


def test_lines_of_the_epochs(run, capsys: pytest.CaptureFixture[str]) -> None:
    run(make_config(), make_data("multiclass"))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  train/loss ")
    assert lines[0].endswith(" s  best")
    assert err == ""
