"""Export a run: one file that takes rows as they are stored, preprocessing included, tried before it is kept.

FILE          onnx: an ONNX graph; torch_export: a `torch.export` program; safetensors: weights alone
FILE.json     what goes in (shape, type, columns with their categories), what comes out, classes, versions, the check
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.config.check import check_recorded
from holdfast.core.errors import HoldfastError, RunFailed
from holdfast.core.files import replaced, sha256_file, write_atomic
from holdfast.core.run_record import environment
from holdfast.core.tasks import task_of
from holdfast.inference.checks import NEEDED, SUFFIXES, check_export
from holdfast.inference.network import Loaded, load_run
from holdfast.training.restore import BUILT, Network

TOLERANCE = 1e-4
ONNX_BYTES = 2**31 - 2**20
NUM_TRIAL_ROWS = 512
Predict = Callable[[NDArray[Any]], NDArray[np.float32]]

# How the cells of a table become numbers.
CELLS = (
    "number: as it is, without a unit where part is amount, missing as NaN; one with a source is a part of the date "
    "in that column: elapsed (days since 1970-01-01 UTC), year, month, weekday (0 is Monday), day of year, hour; "
    "category: its index in categories, missing as the index of '', a text that is not among them as -1"
)

FITS = {"stretch": "Image.resize", "crop": "ImageOps.fit", "pad": "ImageOps.pad"}


def export_run(run: Path, form: str, output: Path | None = None, *, overwrite: bool = False) -> dict[str, Any]:
    """Export a run or an ensemble, try the file and describe it; gives the description.

    Without `output` the file is `export/model.<suffix>` in the folder of the run.

    Raises:
        InputError: The format is unknown or its packages are missing, the file exists, or the folder is no run.
        RunFailed: The model cannot be exported, or the exported one predicts something else: no file is left.
    """
    path = check_export(run, form, output, overwrite=overwrite)
    loaded = load_run(run)
    x, words = trial_rows(loaded.record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path, SUFFIXES[form]) as temporary:
        with quiet():
            predict = WRITERS[form](loaded.network, temporary, x)
            check = {"rows": len(x), "of": words, **_compare(loaded, predict, x)}
        description = {**_description(loaded, form, temporary), "check": check}
        temporary.chmod(0o644)  # safetensors makes a file that others cannot read
    write_atomic(description_path(path), json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    return description


def description_path(path: Path) -> Path:
    """The path of the description of an exported file."""
    return path.with_name(f"{path.name}.json")


def _compare(loaded: Loaded, predict: Predict, x: NDArray[Any]) -> dict[str, float]:
    """The greatest difference to the run's own predictions, of all rows and of the first alone, and the tolerance."""
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
    return {"max_difference": difference, "tolerance": tolerance}


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


def _description(loaded: Loaded, form: str, file: Path) -> dict[str, Any]:
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
        "versions": {**environment()["versions"], **{name: metadata.version(name) for name in NEEDED[form]}},
    }


# --- the formats: each is written, read back, and given as a function that predicts


def _write_torch_export(network: Network, path: Path, x: NDArray[Any]) -> Predict:
    torch.export.save(_program(network, x), path)
    module = torch.export.load(path).module()
    return lambda rows: module(torch.from_numpy(rows)).detach().numpy()


def _write_onnx(network: Network, path: Path, x: NDArray[Any]) -> Predict:
    import onnxruntime

    if sum(value.numel() * value.element_size() for value in network.state_dict().values()) > ONNX_BYTES:
        raise RunFailed("--format", "an onnx file holds 2 GiB of weights at most", next="--format torch_export")
    options: dict[str, Any] = {"input_names": ["rows"], "output_names": ["predictions"], "external_data": False}
    shapes: Any = ({0: "batch"},)
    try:
        torch.onnx.export(
            _program(network, x), (_example(x),), path, dynamo=True, dynamic_shapes=shapes, verbose=False, **options
        )
    except RunFailed:
        raise
    except Exception as error:  # the exporter's own errors have no common parent
        raise RunFailed("model", f"cannot be written as onnx ({_first_line(error)})") from error
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda rows: np.asarray(session.run(None, {"rows": rows})[0], np.float32)


def _write_safetensors(network: Network, path: Path, x: NDArray[Any]) -> Predict:
    from safetensors.torch import load_file, save_file

    state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})
    blank = copy.deepcopy(network)
    for value in blank.state_dict().values():
        value.zero_()
    blank.load_state_dict(load_file(path))
    return lambda rows: blank(torch.from_numpy(rows)).detach().numpy()


WRITERS: dict[str, Callable[[Network, Path, NDArray[Any]], Predict]] = {
    "onnx": _write_onnx,
    "torch_export": _write_torch_export,
    "safetensors": _write_safetensors,
}


def _program(network: Network, x: NDArray[Any]) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(network, (_example(x),), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as error:  # a user's own model may do what cannot be traced
        raise RunFailed("model", f"cannot be exported ({_first_line(error)})") from error


def _example(x: NDArray[Any]) -> torch.Tensor:
    """Two rows or more: a batch of one would be taken for a constant."""
    return torch.from_numpy(np.array(x[:4] if len(x) > 1 else np.repeat(x, 2, axis=0)))


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the exporters tell of themselves; what matters is the check."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


# --- rows to try a model with


def trial_rows(record: dict[str, Any]) -> tuple[NDArray[Any], str]:
    """At most 512 rows as they are stored, and what they are in words."""
    from holdfast.data.loading.train_val import rows_of_run

    try:
        check_recorded(record["config"], ("split",))
        rows = rows_of_run(record["config"]["split"], record["data"])
        return np.asarray(rows.prepared.x[rows.val[:NUM_TRIAL_ROWS]]), f"val rows of {record['data']['name']}"
    except HoldfastError:
        return random_rows(record["data"], 64), "random rows, as the store does not have the val rows"


def random_rows(data: Mapping[str, Any], num_rows: int) -> NDArray[Any]:
    """Made-up rows of the shape and type of stored ones, by the record's field `data`."""
    generator = np.random.default_rng(0)
    shape, dtype = (num_rows, *data["row_shape"]), np.dtype(data["dtype"])
    if dtype.kind in "iub":
        high = 2 if dtype.kind == "b" else 256 if dtype.itemsize == 1 and dtype.kind == "u" else 128
        return generator.integers(0, high, shape).astype(dtype)
    x = generator.normal(size=shape).astype(dtype)
    for index, column in enumerate(data.get("columns") or ()):
        if column["type"] == "category":
            x[:, index] = generator.integers(-1, max(1, len(column.get("categories", ()))), num_rows)
        elif column.get("has_missing"):
            x[generator.random(num_rows) < 0.1, index] = np.nan
    return x
