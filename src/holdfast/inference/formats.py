"""The formats of an exported model: each is written, read back, and given as a function that predicts."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.core.errors import RunFailed
from holdfast.training.restore import Network

ONNX_BYTES = 2**31 - 2**20
Predict = Callable[[NDArray[Any]], NDArray[np.float32]]


def _write_torch_export(network: Network, path: Path, x: NDArray[Any]) -> Predict:
    torch.export.save(_program(network, x), path)
    module = torch.export.load(path).module()
    return lambda rows: _numbers(module(torch.from_numpy(rows)))


def _write_onnx(network: Network, path: Path, x: NDArray[Any]) -> Predict:
    import onnxruntime

    if sum(value.numel() * value.element_size() for value in network.state_dict().values()) > ONNX_BYTES:
        raise RunFailed("--format", "an onnx file holds 2 GiB of weights at most", next="--format torch_export")
    example = torch.from_numpy(_example(x))
    options: dict[str, Any] = {"input_names": ["rows"], "output_names": ["predictions"], "external_data": False}
    shapes: Any = ({0: "batch"},)
    try:
        torch.onnx.export(
            _program(network, x), (example,), path, dynamo=True, dynamic_shapes=shapes, verbose=False, **options
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
    return lambda rows: _numbers(blank(torch.from_numpy(rows)))


WRITERS: dict[str, Callable[[Network, Path, NDArray[Any]], Predict]] = {
    "onnx": _write_onnx,
    "torch_export": _write_torch_export,
    "safetensors": _write_safetensors,
}


def _program(network: Network, x: NDArray[Any]) -> torch.export.ExportedProgram:
    example = torch.from_numpy(_example(x))
    try:
        with torch.no_grad():
            return torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as error:  # a user's own model may do what cannot be traced
        raise RunFailed("model", f"cannot be exported ({_first_line(error)})") from error


def _example(x: NDArray[Any]) -> NDArray[Any]:
    """Two rows or more: a batch of one would be taken for a constant."""
    return np.array(x[:4] if len(x) > 1 else np.repeat(x, 2, axis=0))


def _numbers(predictions: torch.Tensor) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = predictions.detach().numpy()
    return numbers


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
