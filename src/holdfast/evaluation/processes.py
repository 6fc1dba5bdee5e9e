"""Starts the predictor and the scorer, two short processes, and speaks with them over pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

import holdfast
from holdfast.core.errors import RunFailed
from holdfast.data.targets import search_path
from holdfast.evaluation import wire


class Predictor:
    """A process with the models of a selection; a context manager."""

    def __init__(self, members: Sequence[dict[str, Any]], folder: Path) -> None:
        """Start it.

        Args:
            members: {"folder", "checkpoint", "weight"} of every model.
            folder: What their folders are relative to.
        """
        self._members = [{**member, "folder": str(folder / member["folder"])} for member in members]
        self._process = _start("predictor", search_path())

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def predict(
        self, layout: dict[str, Any], blocks: Iterable[bytes], columns: tuple[int, ...], *, is_sealed: bool
    ) -> NDArray[np.float32]:
        """Predict rows.

        Args:
            layout: {"dtype", "shape"} of the rows.
            blocks: Their bytes.
            columns: Shape of one row's prediction.
            is_sealed: The rows are sealed ones: nothing but predictions comes back.

        Raises:
            RunFailed: The models failed, or gave something else than finite predictions of the right shape.
        """
        header = {"members": self._members, "is_sealed": is_sealed}
        answer, arrays = _ask(self._process, "predictor", header, [layout], blocks)
        if error := answer.get("error"):
            text = f": {error['text']}" if "text" in error else "; its text is withheld, as it could carry rows"
            raise RunFailed("predictor", f"{error['code']} failed with {error['type']}{text}")
        shape = (layout["shape"][0], *columns)
        if len(arrays) != 1 or arrays[0].dtype != np.float32 or arrays[0].shape != shape:
            raise RunFailed("predictor", f"gave no predictions of shape {shape}")
        if not np.isfinite(arrays[0]).all():
            raise RunFailed("predictor", "gave predictions that are not finite")
        return cast("NDArray[np.float32]", arrays[0])


def score(predictions: NDArray[np.float32], y: NDArray[Any], **options: Any) -> dict[str, Any]:
    """The scorer's answer; options as of `scorer.score_rows`.

    Raises:
        RunFailed: The process died.
    """
    # Only what Holdfast itself needs: no folder of the user's is searched for modules.
    process = _start("scorer", [str(Path(holdfast.__file__).parents[1])])
    arrays = [np.ascontiguousarray(predictions), np.ascontiguousarray(y)]
    try:
        layouts = [wire.layout_of(array) for array in arrays]
        return _ask(process, "scorer", options, layouts, (array.tobytes() for array in arrays))[0]
    finally:
        process.kill()
        process.communicate()


def _start(name: str, path: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-P", "-m", f"holdfast.evaluation.{name}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _ask(
    process: subprocess.Popen[bytes],
    name: str,
    header: dict[str, Any],
    layouts: list[dict[str, Any]],
    blocks: Iterable[bytes],
) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    stdin, stdout = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    try:
        wire.send_blocks(stdin, header, layouts, blocks)
        answer = wire.receive(stdout)
    except (BrokenPipeError, EOFError):
        answer = None
    if answer is None:
        raise RunFailed(name, f"the process died with exit status {process.wait()} and gave no answer")
    return answer
