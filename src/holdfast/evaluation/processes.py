"""Starts the predictor and the scorer, two short processes, and speaks with them over pipes.

The predictor runs a user's code, which may write to any of its descriptors. So it has no terminal, what it prints comes
through a pipe that ends here once it has sealed rows, and what it answers then is let out as predictions of a known
shape or as a word of a known list.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

import holdfast
from holdfast.core.cores import threads_allowed
from holdfast.core.errors import InputError, RunFailed, VaultRefused
from holdfast.core.run_record import read_run
from holdfast.data.loading.statistics import TrainStatistics, statistics_as_arrays
from holdfast.data.targets import search_path
from holdfast.evaluation import wire
from holdfast.evaluation.predictor import CHANGED
from holdfast.evaluation.resampling import Sampling
from holdfast.evaluation.statistics import DEFAULT

BATCH_ROWS = 1024


class Predictor:
    """A process with the models of a selection; a context manager."""

    def __init__(self, members: Sequence[dict[str, Any]], folder: Path) -> None:
        """Start it.

        Args:
            members: {"folder", "checkpoint", "weight"} of every model; "sha256" of its files where they are known.
            folder: What their folders are relative to.
        """
        self._members = [{**member, "folder": str(folder / member["folder"])} for member in members]
        reader, writer = os.pipe()
        try:
            self._process = _start(
                "predictor", search_path(), threads=_threads(self._members), stderr=writer, start_new_session=True
            )
        finally:
            os.close(writer)
        self._has_sealed_rows = threading.Event()
        self._voice = threading.Thread(target=_pass_on, args=(reader, self._has_sealed_rows), daemon=True)
        self._voice.start()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, AttributeError):  # and what it has started; there is no such call on Windows
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()
        self._voice.join(timeout=1)

    def predict(
        self,
        layout: dict[str, Any],
        blocks: Iterable[bytes],
        columns: tuple[int, ...],
        *,
        is_sealed: bool,
        batch_size: int = BATCH_ROWS,
    ) -> NDArray[np.float32]:
        """Predict rows.

        Args:
            layout: {"dtype", "shape"} of the rows.
            blocks: Their bytes.
            columns: Shape of one row's prediction.
            is_sealed: The rows are sealed ones: nothing but predictions comes back.
            batch_size: Rows in one forward pass.

        Raises:
            RunFailed: The models failed, or gave something else than finite predictions of the right shape.
        """
        if is_sealed:
            self._has_sealed_rows.set()
        header = {"ask": "predict", "batch_size": batch_size, "is_sealed": is_sealed}
        found = self._arrays(header, [layout], blocks)[0]
        return _checked(found, np.float32, (layout["shape"][0], *columns))

    def log_probabilities(
        self, layout: dict[str, Any], blocks: Iterable[bytes], columns: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Log-probabilities of open rows in float64, of a single model.

        Raises:
            RunFailed: As `predict`.
        """
        header = {"ask": "log_probabilities", "batch_size": BATCH_ROWS, "is_sealed": False}
        found = self._arrays(header, [layout], blocks)[0]
        return _checked(found, np.float64, (layout["shape"][0], *columns))

    def statistics_state(self, statistics: TrainStatistics) -> dict[str, NDArray[Any]]:
        """What the modules would hold of these train statistics, by "<number of the member>/<name of the buffer>".

        Raises:
            RunFailed: A module cannot be built.
        """
        arrays = statistics_as_arrays(statistics)
        kind = str(arrays.pop("kind"))
        header = {"ask": "statistics", "kind": kind, "names": list(arrays), "is_sealed": False}
        layouts = [wire.layout_of(array) for array in arrays.values()]
        blocks = (wire.little_endian(array).tobytes() for array in arrays.values())
        found, answer = self._arrays(header, layouts, blocks)
        return dict(zip(answer["names"], found, strict=True))

    def _arrays(
        self, header: dict[str, Any], layouts: list[dict[str, Any]], blocks: Iterable[bytes]
    ) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        answer, arrays = _ask(self._process, "predictor", {**header, "members": self._members}, layouts, blocks)
        if error := answer.get("error"):
            raise _failure(error, is_sealed=self._has_sealed_rows.is_set())
        return arrays, answer


def _failure(error: Any, *, is_sealed: bool) -> Exception:
    """What the predictor says of an error; of sealed rows in words that are known here."""
    code, kind = (error.get(name) if isinstance(error, dict) else None for name in ("code", "type"))
    if code == CHANGED:
        what = "a frozen file was changed while the vault was being opened"
        return VaultRefused("predictor", what, next="open the same selection again")
    if not is_sealed:
        return RunFailed("predictor", f"{code} failed with {kind}: {error['text']}")
    code = "memory" if code == "memory" else "predict"
    is_known = isinstance(kind, str) and (hasattr(builtins, kind) or kind == "OutOfMemoryError")
    kind = kind if is_known else "an exception type of the model's own"
    return RunFailed("predictor", f"{code} failed with {kind}; its text is withheld, as it could carry rows")


def _pass_on(reader: int, is_withheld: threading.Event) -> None:
    """Print what comes through a pipe, until it is to be withheld; read on to its end."""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while piece := pipe.read(2**16):
            if not is_withheld.is_set():
                with contextlib.suppress(OSError):
                    os.write(2, piece)


def _checked(found: Sequence[NDArray[Any]], dtype: type[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if len(found) != 1 or found[0].dtype != dtype or found[0].shape != shape:
        raise RunFailed("predictor", f"gave no predictions of shape {shape}")
    if not np.isfinite(found[0]).all():
        raise RunFailed("predictor", "gave predictions that are not finite")
    return found[0]


@dataclass(frozen=True, eq=False)
class Scored:
    """What the scorer found.

    Attributes:
        models: {"name", "metrics", "slack"} of each; metrics as {"value", "low", "high", "method"}.
        comparisons: The first model against each other one (`comparison.compare`).
        details: {"name", "confusion", "per_class"} of each; they leave the vault by `disclose` only.
        outcomes: (n, models) what each model made of each row: the guessed class, whether all labels are right, or
            the error of a value. They stay encrypted.
    """

    models: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    details: list[dict[str, Any]]
    outcomes: NDArray[np.float32]


def score_models(
    predictions: Sequence[NDArray[np.float32]], y: NDArray[Any], *, sampling: Sampling = DEFAULT, **options: Any
) -> Scored:
    """Score several models on the same rows; options as of `scorer.score_models`.

    Raises:
        RunFailed: The process died.
    """
    header = {
        "confidence": sampling.confidence,
        "proportion": sampling.proportion,
        "seed": sampling.seed,
        "has_groups": sampling.groups is not None,
        **options,
    }
    groups = [] if sampling.groups is None else [sampling.groups]
    answer, (outcomes,) = _score(header, [y, *groups, *predictions])
    return Scored(answer["models"], answer["comparisons"], answer["details"], outcomes)


def score(predictions: NDArray[np.float32], y: NDArray[Any], *, has_loss: bool, **options: Any) -> dict[str, Any]:
    """The metrics and slack of one model; options as of `scorer.score_rows`."""
    return score_models([predictions], y, models=[{"name": "", "has_loss": has_loss}], **options).models[0]


def _score(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    # Only what Holdfast itself needs: no folder of the user's is searched for modules.
    process = _start("scorer", [str(Path(holdfast.__file__).parents[1])], threads=1)
    try:
        layouts = [wire.layout_of(array) for array in arrays]
        blocks = (wire.little_endian(array).tobytes() for array in arrays)
        return _ask(process, "scorer", header, layouts, blocks)
    finally:
        process.kill()
        process.communicate()


def _threads(members: Sequence[dict[str, Any]]) -> int:
    """As many as the models were trained with: their predictions have the same bits then."""
    with contextlib.suppress(InputError):  # a record that cannot be read is the predictor's to tell
        recorded = [read_run(Path(member["folder"])).get("threads") or 1 for member in members]
        return min(max(recorded, default=1), threads_allowed())
    return 1


def _start(name: str, path: Sequence[str], *, threads: int, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-P", "-m", f"holdfast.evaluation.{name}"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, **options)


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
    except (ValueError, TypeError, KeyError, AttributeError, MemoryError, OverflowError, RecursionError):
        raise RunFailed(name, "gave an answer that cannot be read; it is withheld, as it could carry rows") from None
    if answer is None:
        code = process.wait()
        how = f"was ended by signal {-code}" if code < 0 else "ended"  # a code of its own could carry a row
        raise RunFailed(name, f"the process {how} and gave no answer")
    return answer
