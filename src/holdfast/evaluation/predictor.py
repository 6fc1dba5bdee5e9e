"""The process that runs a user's code on rows: `python -m holdfast.evaluation.predictor`. It never sees a target.

It answers messages from stdin, one after the other: rows in, predictions of a fixed shape out. Where the rows are
sealed, an error is told as a code and the name of a well-known exception type, and what the code prints is lost: a
text can carry rows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.evaluation import wire


def main() -> int:
    """Answer until stdin ends."""
    wire.forbid_core_dumps()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (message := wire.receive(sys.stdin.buffer)) is not None:
        header, (x,) = message
        if header["is_sealed"]:
            silence()
        try:
            predictions = _predict(header["members"], x)
        except BaseException as error:
            wire.send(answer, {"error": describe(error, is_sealed=header["is_sealed"])})
        else:
            wire.send(answer, {}, predictions)
    return 0


def silence() -> None:
    """Send what is printed from now on, also by C code, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


def describe(error: BaseException, *, is_sealed: bool) -> dict[str, str]:
    """An error as a code and a type; its text only where the rows are no secret."""
    kind = type(error)
    is_known = kind.__module__.split(".")[0] in ("builtins", "torch", "numpy", "holdfast")
    code = "memory" if isinstance(error, MemoryError) or kind.__name__ == "OutOfMemoryError" else "predict"
    told = {"code": code, "type": kind.__name__ if is_known else "an exception type of the model's own"}
    return told if is_sealed else {**told, "text": str(error)}


def _predict(members: list[dict[str, Any]], x: NDArray[Any]) -> NDArray[np.float32]:
    from holdfast.ensembles.average import Member, average_predictions

    chosen = [Member(Path(member["folder"]), member["checkpoint"], member["weight"]) for member in members]
    return average_predictions(chosen, x)


if __name__ == "__main__":
    raise SystemExit(main())
