"""Refusals before torch is imported: runs that cannot predict, formats that cannot be written."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from holdfast.core.errors import InputError, did_you_mean
from holdfast.core.files import check_new_file
from holdfast.core.run_record import check_data, read_run

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch_export": (), "safetensors": ("safetensors",)}


def read_predicting_run(folder: Path) -> dict[str, Any]:
    """The record of a run that can predict.

    Raises:
        InputError: The folder is no run, or one without weights.
    """
    record = read_run(folder)
    if record["best"] is None or record["data"] is None:
        raise InputError(str(folder), f"has no trained model (status {record['status']})", next="choose another run")
    check_data(folder, record)
    return record


def check_format(form: str) -> None:
    """Refuse a format that is unknown, or whose packages are not installed.

    Raises:
        InputError: With the formats there are, or with what to install.
    """
    if form not in NEEDED:
        raise InputError("--format", f"is {form!r}", allowed=", ".join(NEEDED), next=did_you_mean(form, NEEDED))
    missing = [name for name in NEEDED[form] if find_spec(name) is None]
    if missing:
        hint = f"pip install {' '.join(missing)}"
        raise InputError("--format", f"{form} needs {', '.join(missing)}, not installed here", next=hint)


def check_export(run: Path, form: str, output: Path | None, *, overwrite: bool) -> Path:
    """The file that an export is written to; without `output` it lies in the folder of the run.

    Raises:
        InputError: The folder is no run that predicts, the format cannot be written, or the file exists.
    """
    check_format(form)
    read_predicting_run(run)
    path = output or run / "export" / f"model{SUFFIXES[form]}"
    check_new_file(path, overwrite=overwrite)
    return path
