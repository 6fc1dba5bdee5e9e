"""Folders of runs that were never trained: random weights, made-up statistics, a record and a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.files import sha256_file

MODELS: dict[str, dict[str, Any]] = {
    "linear": {"_target_": "holdfast.models.linear", "bias": True},
    "mlp": {"_target_": "holdfast.models.mlp", "hidden": [6], "norm": "batch"},
    "cnn": {"_target_": "holdfast.models.cnn", "channels": [4], "hidden": 5},
}
TRANSFORM = {"_target_": "holdfast.transforms.Standardize", "scope": "auto"}
RECORD: dict[str, Any] = {
    **{"schema": 1, "kind": "fit", "status": "completed", "host": "somewhere", "pid": 1},
    **dict.fromkeys(("created", "heartbeat"), "2026-01-01T00:00:00.000+00:00"),
    **{"monitor": "val/loss", "mode": "min", "overrides": [], "choices": {}, "history": [], "ensemble": None},
}

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """make_run(name, model=, task=, kind=) gives the folder of a run: 3 classes, 4 columns or images of 8x8x1."""

    def make(
        name: str = "run", *, model: str = "mlp", task: str = "multiclass", kind: str = "table", **changes: Any
    ) -> Path:
        import torch

        from holdfast.data.statistics import TrainStatistics
        from holdfast.training.build import Shapes, build_untrained
        from holdfast.training.checkpoints import STATE

        row_shape = (8, 8, 1) if kind == "image" else (4,)
        num_outputs = 3 if task in ("multiclass", "multilabel") else 1
        classes = {"multiclass": ["a", "b", "c"], "multilabel": ["a", "b", "c"], "binary": ["no", "yes"]}.get(task, [])
        generator = np.random.default_rng(len(name))
        statistics = TrainStatistics(
            kind, 10, generator.normal(size=row_shape), 1 + generator.random(row_shape), 50.0, 20.0, None
        )
        shapes = Shapes(task, kind, (1, 8, 8) if kind == "image" else row_shape, num_outputs)
        config = {"model": MODELS[model], "transform": TRANSFORM}
        torch.manual_seed(len(name))
        module = build_untrained(config, shapes, statistics if task == "regression" else _without_target(statistics))
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        state = {"shapes": shapes.as_dict(), "history": [{}]}
        torch.save({"state_dict": module.state_dict(), STATE: state}, folder / "checkpoints" / "best.ckpt")
        data = {
            **{"name": "made", "task": task, "kind": kind, "vault": "0" * 32, "val_sha256": "0" * 64},
            **{"row_shape": list(row_shape), "dtype": "uint8" if kind == "image" else "float32"},
            **{"input_shape": list(shapes.input_shape), "num_outputs": num_outputs, "class_names": classes},
            "feature_names": [] if kind == "image" else ["w", "x", "y", "z"],
            "columns": [] if kind == "image" else [{"name": name, "type": "number"} for name in "wxyz"],
            "rows": "none-0/1",
        }
        form = {"form": "array", "shape": list(row_shape)} if kind == "image" else {"form": "table"}
        data["view"] = {**form, "dtype": data["dtype"], "columns": data["columns"]}
        best = {"monitor": "val/loss", "mode": "min", "value": 0.5, "epoch": 1, "checkpoint": "checkpoints/best.ckpt"}
        split = {
            "split": {
                "_target_": "holdfast.data.splits.Holdout",
                "fractions": [0.6, 0.2, 0.2],
                "seed": 0,
            }
        }
        record = {**RECORD, "id": name, "data": data, "best": {**best, "metrics": {"val/loss": 0.5}}}
        (folder / "run.json").write_text(json.dumps({**record, "config": {**config, **split}, **changes}))
        return folder

    return make


@pytest.fixture
def make_ensemble(make_run: MakeRun, tmp_path: Path) -> MakeRun:
    """An ensemble of two runs, with shares of 1/4 and 3/4; combine= and temperature= as of an ensemble's record."""

    def make(*, combine: str = "probabilities", temperature: float = 1.0, **options: Any) -> Path:
        runs = [make_run(name, **options) for name in ("one", "other")]
        record = json.loads((runs[0] / "run.json").read_text())
        members = [
            {
                "run": str(run),
                "checkpoint": "checkpoints/best.ckpt",
                "sha256": sha256_file(run / "checkpoints" / "best.ckpt"),
                "weight": weight,
                "metrics": {},
            }
            for run, weight in zip(runs, (0.25, 0.75), strict=True)
        ]
        folder = tmp_path / "ensemble"
        folder.mkdir()
        best = record["best"] | {"checkpoint": None, "epoch": None}
        facts = {"members": members, "combine": combine, "temperature": temperature, "out_of_fold": False}
        ensemble = record | {"kind": "ensemble", "best": best, "ensemble": facts}
        (folder / "run.json").write_text(json.dumps(ensemble))
        return folder

    return make


def _without_target(statistics: Any) -> Any:
    from dataclasses import replace

    return replace(statistics, target_mean=None, target_std=None)
