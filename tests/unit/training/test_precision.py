from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from holdfast.core.errors import InputError
from holdfast.training.checkpoints import read_checkpoint
from holdfast.training.devices import check_precision, device_of
from holdfast.training.restore import load_model
from small_runs import make_config, make_data

CNN = ("model=cnn", "augment=[affine,mirror]")


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_precisions_of_a_cpu_train_with_augmentation(run, tmp_path: Path, precision: str) -> None:
    data = make_data("multiclass", image=True)
    plain = run(make_config(*CNN, max_epochs=2), data, "plain").fields["best"]["value"]
    record = run(make_config(*CNN, f"trainer.precision={precision}", max_epochs=2), data)
    assert record.fields["precision"] == precision
    assert record.fields["best"]["value"] == pytest.approx(plain, rel=0.1)
    predicted = load_model(tmp_path / "run").predict(data.val_x.numpy())
    right = predicted.argmax(axis=1) == data.val_y.numpy()
    assert right.mean() == pytest.approx(record.fields["best"]["metrics"]["val/accuracy"], abs=0.051)


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"accelerator": "cpu", "precision": "16-mixed"}, r"trainer\.precision: is '16-mixed', which a CPU lacks; "),
        ({"accelerator": "cpu", "precision": 16}, r"is '16-mixed', .*allowed: 32-true, 64-true, bf16-mixed"),
        ({"precision": "bf16-true"}, r"rounds rows and .* to three digits; next: trainer\.precision=bf16-mixed"),
        ({"accelerator": "mps", "precision": "64-true"}, r"is '64-true', which an Apple GPU lacks"),
    ],
)
def test_a_precision_that_the_device_lacks(trainer: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_precision(trainer)


def test_an_old_gpu_lacks_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100")
    assert device_of("auto") == device_of("gpu") == "cuda"
    with pytest.raises(InputError, match=r"is 'bf16-mixed', which Tesla P100 lacks; allowed: .*16-mixed"):
        check_precision({"accelerator": "auto", "precision": "bf16-mixed"})
    check_precision({"accelerator": "auto", "precision": "16-mixed"})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


def test_accumulated_batches_are_the_larger_batch(run, tmp_path: Path) -> None:
    words = ("model.norm=none", "optimizer=momentum", "trainer.precision=64-true")
    data = make_data("regression")
    data.batch_size = 8
    run(make_config(*words, "trainer.accumulate_grad_batches=3"), data, "small")
    data.batch_size = 24
    run(make_config(*words), data, "large")
    small, large = weights(tmp_path / "small"), weights(tmp_path / "large")
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, rtol=1e-10, atol=1e-13)


def test_the_same_bits_twice(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which Lightning sets, and leaves behind
    words = ("model=cnn", "model.dropout=0.3", "augment=[affine,erasing]", "mixing=cutmix")
    try:
        for name in ("first", "second"):
            run(make_config(*words, deterministic=True, max_epochs=3), make_data("multiclass", image=True), name)
            assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_trains_as_another_and_loads_without(run, tmp_path: Path) -> None:
    data = make_data("multiclass", image=True)
    plain = run(make_config("model=cnn", "averaging=ema"), data, "plain").fields["best"]["value"]
    compiled = run(make_config("model=cnn", "averaging=ema", compile=True), data, "compiled").fields["best"]["value"]
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert weights(tmp_path / "plain").keys() == weights(tmp_path / "compiled").keys()
    predicted = load_model(tmp_path / "compiled").predict(data.val_x.numpy())
    assert predicted.shape == (40, 3)
