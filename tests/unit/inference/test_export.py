from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast.core.errors import InputError, RunFailed
from holdfast.inference import export
from holdfast.inference.export import export_run, greatest_difference
from holdfast.inference.network import load_run
from holdfast.training.restore import Network

from .conftest import MakeRun


def test_a_torch_program_takes_rows_of_any_number(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(model="cnn", kind="image", task="multilabel")
    check = export_run(run, "torch_export", tmp_path / "m.pt2")["check"]
    assert check["max_difference"] < 1e-6
    assert check["of"].startswith("random rows")
    program = torch.export.load(tmp_path / "m.pt2").module()
    x = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1)).astype(np.uint8)
    np.testing.assert_allclose(program(torch.from_numpy(x)).detach(), load_run(run).network.predict(x), atol=1e-6)
    words = json.loads((tmp_path / "m.pt2.json").read_text())["input"]["image"]
    assert "gray (L), values 0 to 255; an image of another size by Pillow's Image.resize, bilinear" in words


@pytest.mark.parametrize("is_ensemble", [False, True])
def test_safetensors_hold_all_weights_and_statistics(
    make_run: MakeRun, make_ensemble: MakeRun, is_ensemble: bool
) -> None:
    run = make_ensemble(task="regression") if is_ensemble else make_run(task="regression")
    description = export_run(run, "safetensors")
    assert description == json.loads((run / "export" / "model.safetensors.json").read_text())
    tolerance = description["check"].pop("tolerance")
    assert tolerance > 0
    assert description["check"] == {
        **{"rows": 64, "of": "random rows, as the store does not have the val rows", "max_difference": 0.0}
    }
    assert description["input"]["shape"] == ["batch", 4]
    assert [column["name"] for column in description["input"]["columns"]] == ["w", "x", "y", "z"]
    assert "elapsed (days since 1970-01-01 UTC)" in description["input"]["cells"]
    assert description["output"] == {
        **{"name": "predictions", "shape": ["batch"], "dtype": "float32"},
        "meaning": "value in original units",
    }
    assert [member["weight"] for member in description["network"]] == ([0.25, 0.75] if is_ensemble else [1.0])


@pytest.mark.parametrize("combine", ["probabilities", "logits"])
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_one_file_holds_members_weights_and_temperature(make_ensemble: MakeRun, task: str, combine: str) -> None:
    run = make_ensemble(task=task, combine=combine, temperature=0.6)
    assert export_run(run, "torch_export")["check"]["max_difference"] < 1e-6
    description = json.loads((run / "export" / "model.pt2.json").read_text())
    assert (description["combine"], description["temperature"]) == (combine, 0.6)
    program = torch.export.load(run / "export" / "model.pt2").module()
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(program(torch.from_numpy(x)).detach(), load_run(run).network.predict(x), atol=1e-6)


@pytest.mark.parametrize("broken", ["weights", "shape"])
def test_a_model_that_predicts_something_else_is_not_kept(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def write(network: Network, path: Path, x: Any) -> export.Predict:
        path.write_bytes(b"model")
        right = export.WRITERS["torch_export"](network, path, x)
        return lambda rows: right(rows)[:, :2] if broken == "shape" else right(rows) + np.float32(1e-3)

    monkeypatch.setitem(export.WRITERS, "safetensors", write)
    run = make_run()
    with pytest.raises(RunFailed, match=r"predicts something else: off by (0\.001|inf), allowed 0\.0001"):
        export_run(run, "safetensors")
    assert list((run / "export").iterdir()) == []


def test_a_model_that_cannot_be_traced(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "forward", lambda self, rows: rows if rows.sum() > 0 else -rows)
    with pytest.raises(RunFailed, match=r"model: cannot be exported \(\w+: "):
        export_run(make_run(), "torch_export")


def test_files_that_are_there_stay(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    (tmp_path / "m.safetensors").write_text("mine")
    with pytest.raises(InputError, match=r"m\.safetensors exists; next: name another file, or --overwrite"):
        export_run(run, "safetensors", tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_text() == "mine"
    export_run(run, "safetensors", tmp_path / "m.safetensors", overwrite=True)
    assert (tmp_path / "m.safetensors").stat().st_size > 100


def test_differences() -> None:
    values = np.array([1.0, np.nan, 3.0], np.float32)
    assert greatest_difference(values, values) == 0
    assert greatest_difference(values, np.array([1.0, np.nan, 2.5], np.float32)) == 0.5
    assert greatest_difference(values, np.array([1.0, 2.0, 3.0], np.float32)) == float("inf")
    assert greatest_difference(values, values[:2]) == float("inf")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel", "regression"])
@pytest.mark.parametrize(("model", "kind"), [("linear", "table"), ("mlp", "table"), ("mlp", "image"), ("cnn", "image")])
def test_onnx(make_run: MakeRun, make_ensemble: MakeRun, model: str, kind: str, task: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run = make_ensemble(model=model, kind=kind, task=task)
    check = export_run(run, "onnx")["check"]
    assert check["max_difference"] <= check["tolerance"]
    session = onnxruntime.InferenceSession(run / "export" / "model.onnx")
    x = np.random.default_rng(0).integers(0, 200, (5, *((8, 8, 1) if kind == "image" else (4,))))
    x = x.astype(np.uint8 if kind == "image" else np.float32)
    outputs = session.run(None, {"rows": x})[0]
    np.testing.assert_allclose(outputs, load_run(run).network.predict(x), rtol=1e-4, atol=1e-5)
