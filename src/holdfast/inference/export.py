"""Export a run: one file that takes rows as they are stored, preprocessing included, tried before it is kept.

FILE          onnx: an ONNX graph; torch_export: a `torch.export` program; safetensors: weights alone
FILE.json     what goes in (shape, type, columns with their categories), what comes out, classes, versions, the check
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import RunFailed
from holdfast.core.files import sha256_file, write_atomic
from holdfast.core.run_record import environment
from holdfast.core.tasks import task_of
from holdfast.inference.checks import NEEDED, SUFFIXES, check_format, check_new_file
from holdfast.inference.formats import WRITERS, Predict, quiet
from holdfast.inference.network import Loaded, load_run
from holdfast.inference.trial_rows import trial_rows
from holdfast.training.restore import BUILT

TOLERANCE = 1e-4

# How the cells of a table become numbers.
CELLS = (
    "number: as it is, without a unit where part is amount, missing as NaN; one with a source is a part of the date "
    "in that column: elapsed (days since 1970-01-01 UTC), year, month, weekday (0 is Monday), day of year, hour; "
    "category: its index in categories, missing as the index of '', a text that is not among them as -1"
)

FITS = {"stretch": "Image.resize", "crop": "ImageOps.fit", "pad": "ImageOps.pad"}


@dataclass(frozen=True)
class Exported:
    """An exported model."""

    path: Path  # the model's file; `<path>.json` describes it
    rows: int  # how many rows it was tried with
    rows_from: str  # which rows these are
    max_difference: float  # of its predictions to those of the run, on these rows
    tolerance: float  # what was allowed


def export_run(run: Path, form: str, output: Path | None = None, *, overwrite: bool = False) -> Exported:
    """Export a run or an ensemble, try the file and describe it.

    Without `output` the file is `export/model.<suffix>` in the folder of the run.

    Raises:
        InputError: The format is unknown or its packages are missing, the file exists, or the folder is no run.
        RunFailed: The model cannot be exported, or the exported one predicts something else: no file is left.
    """
    check_format(form)
    path = output or run / "export" / f"model{SUFFIXES[form]}"
    check_new_file(path, overwrite=overwrite)
    loaded = load_run(run)
    x, words = trial_rows(loaded.record)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp{SUFFIXES[form]}")
    try:
        with quiet():
            predict = WRITERS[form](loaded.network, temporary, x)
            difference, tolerance = _compare(loaded, predict, x)
        exported = Exported(path, len(x), words, difference, tolerance)
        description = json.dumps(_description(loaded, form, temporary, exported), indent=1, ensure_ascii=False)
        temporary.chmod(0o644)  # safetensors makes a file that others cannot read
        os.replace(temporary, path)
        write_atomic(description_path(path), description + "\n")
    finally:
        temporary.unlink(missing_ok=True)
    return exported


def description_path(path: Path) -> Path:
    """The path of the description of an exported file."""
    return path.with_name(f"{path.name}.json")


# --- the check -------------------------------------------------------------------------------------------------------


def _compare(loaded: Loaded, predict: Predict, x: NDArray[Any]) -> tuple[float, float]:
    """The greatest difference to the run's own predictions, over all rows at once and over the first alone.

    Raises:
        RunFailed: It is beyond the tolerance.
    """
    expected = loaded.network.predict(x)
    pairs = [(predict(x), expected), (predict(x[:1]), expected[:1])]
    difference = max(greatest_difference(predicted, wanted) for predicted, wanted in pairs)
    tolerance = TOLERANCE
    if task_of(loaded.data["task"]).is_values:
        spread = max(float(restored.module.target_std.min()) for _, restored in loaded.members)
        tolerance = TOLERANCE * spread + 1e-6 * float(np.nanmax(np.abs(expected)))
    if not difference <= tolerance:
        problem = f"the exported model predicts something else: off by {difference:.3g}, allowed {tolerance:.3g}"
        raise RunFailed("model", problem, next="another --format")
    return difference, tolerance


def greatest_difference(predicted: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The greatest difference of two arrays; infinite where shapes differ or one has a NaN that the other has not."""
    if predicted.shape != expected.shape or not np.array_equal(np.isnan(predicted), np.isnan(expected)):
        return float("inf")
    return float(np.nanmax(np.abs(predicted.astype(np.float64) - expected), initial=0.0))


def _image_words(loaded: Loaded) -> str:
    """The way from an image file to a row, in words."""
    mode = {1: "gray (L)", 3: "RGB", 4: "RGBA"}.get(loaded.data["row_shape"][-1], "as stored")
    fit = FITS[(loaded.record["config"].get("data") or {}).get("fit") or "stretch"]
    return f"turned upright by EXIF, {mode}, values 0 to 255; an image of another size by Pillow's {fit}, bilinear"


def _description(loaded: Loaded, form: str, file: Path, exported: Exported) -> dict[str, Any]:
    data = loaded.data
    columns = data.get("columns") or [{"name": name, "type": "number"} for name in data["feature_names"]]
    width = list(task_of(data["task"]).row_shape(data["num_outputs"]))
    network = [
        {
            "weight": weight,
            **{name: record["config"].get(name) for name in BUILT},
            "shapes": restored.shapes.as_dict(),
            "checkpoint": str(restored.checkpoint.absolute()),
            "checkpoint_sha256": sha256_file(restored.checkpoint),
        }
        for weight, (record, restored) in zip(loaded.network.weights, loaded.members, strict=True)
    ]
    return {
        "format": form,
        "sha256": sha256_file(file),
        "run": str(loaded.folder.absolute()),
        "data": data["name"],
        "task": data["task"],
        "input": {
            "name": "rows",
            "shape": ["batch", *data["row_shape"]],
            "dtype": data["dtype"],
            "layout": {"image": "batch, height, width, channels", "table": "batch, columns"}.get(data["kind"]),
            "columns": columns,
            "cells": CELLS if columns else None,
            "image": _image_words(loaded) if data["kind"] == "image" else None,
        },
        "output": {
            "name": "predictions",
            "shape": ["batch", *width],
            "dtype": "float32",
            "meaning": task_of(data["task"]).prediction,
        },
        "class_names": data["class_names"],
        "preprocessing": "in the file" if form != "safetensors" else "its statistics are in the file, as *.transform.*",
        "network": network,
        "combine": loaded.network.combine,
        "temperature": loaded.network.temperature,
        "check": {
            "rows": exported.rows,
            "of": exported.rows_from,
            "max_difference": exported.max_difference,
            "tolerance": exported.tolerance,
        },
        "versions": {**environment()["versions"], **{name: metadata.version(name) for name in NEEDED[form]}},
    }
