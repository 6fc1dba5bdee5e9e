"""The process that runs a user's code on rows: `python -m holdfast.evaluation.predictor`. It never sees a target.

It answers messages from stdin, one after the other: rows in, predictions of a fixed shape out. Where the rows are
sealed, no file can be written; what the code prints, and the text of an error, is withheld by the process that asks
(`evaluation.processes`): a text can carry rows, and nothing that is said here need be true.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import VaultRefused
from holdfast.evaluation import wire

CHANGED = "changed"  # a file is not the one that was frozen

Array = NDArray[Any]
Header = dict[str, Any]
Answer = tuple[list[Array], dict[str, Any]]


def main() -> int:
    """Answer until stdin ends."""
    wire.forbid_core_dumps()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (message := wire.receive(sys.stdin.buffer)) is not None:
        header, arrays = message
        if header["is_sealed"]:
            wire.forbid_files()
        try:
            found, told = ANSWERS[header["ask"]](header, arrays)
        except BaseException as error:
            wire.send(answer, {"error": describe(error)})
        else:
            wire.send(answer, told, *found)
    return 0


def describe(error: BaseException) -> dict[str, str]:
    """An error as a code, a type and a text."""
    kind = type(error).__name__
    if isinstance(error, VaultRefused):
        return {"code": CHANGED, "type": kind, "text": ""}
    code = "memory" if isinstance(error, MemoryError) or kind == "OutOfMemoryError" else "predict"
    return {"code": code, "type": kind, "text": str(error)}


def _predict(header: Header, arrays: list[Array]) -> Answer:
    """Predictions of rows by all members."""
    from holdfast.ensembles.average import Member, average_predictions

    members = [
        Member(Path(one["folder"]), one["checkpoint"], one["weight"], one.get("sha256")) for one in header["members"]
    ]
    return [average_predictions(members, arrays[0], batch_size=header["batch_size"])], {}


def _log_probabilities(header: Header, arrays: list[Array]) -> Answer:
    """Log-probabilities of one model in float64, from its logits: (rows, classes), or (..., 2) of no and yes."""
    import torch
    from torch.nn import functional

    from holdfast.training.restore import load_model

    (member,), (x,), size = header["members"], arrays, header["batch_size"]
    restored = load_model(Path(member["folder"]), member["checkpoint"])
    parts = []
    with torch.inference_mode():
        for start in range(0, len(x), size):
            logits = restored.module(torch.from_numpy(np.array(x[start : start + size]))).double()
            if restored.shapes.task == "multiclass":
                parts.append(functional.log_softmax(logits, dim=1))
            else:
                parts.append(torch.stack([functional.logsigmoid(-logits), functional.logsigmoid(logits)], dim=-1))
    return [torch.cat(parts).numpy()], {}


def _statistics(header: Header, arrays: list[Array]) -> Answer:
    """What each member's module holds of given train statistics, as arrays in the order of the answer's "names"."""
    from holdfast.data.loading.statistics import statistics_from_arrays
    from holdfast.training.restore import statistics_state

    statistics = statistics_from_arrays(dict(zip(header["names"], arrays, strict=True)) | {"kind": header["kind"]})
    states = [
        {
            f"{index}/{name}": value
            for name, value in statistics_state(Path(one["folder"]), one["checkpoint"], statistics)
        }
        for index, one in enumerate(header["members"])
    ]
    found = {name: value for state in states for name, value in state.items()}
    return list(found.values()), {"names": list(found)}


ANSWERS = {"predict": _predict, "log_probabilities": _log_probabilities, "statistics": _statistics}


if __name__ == "__main__":
    raise SystemExit(main())
