"""Predictions as a table: ids, predictions, a column of probabilities for each class; written block by block."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.files import check_new_file, finite, replaced
from holdfast.core.tasks import task_of
from holdfast.ensembles.diversity import differing, entropy

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
PREDICTION, SPREAD = "prediction", "spread"
Table = Mapping[str, Sequence[Any] | NDArray[Any]]


def check_suffix(path: Path) -> None:
    """Refuse a file whose format is not known by its name.

    Raises:
        InputError: With the formats there are.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            "--output", f"{path} has no known format", allowed=", ".join(f"*{suffix}" for suffix in SUFFIXES)
        )


def column_names(task: str, class_names: Sequence[str], *, is_ensemble: bool = False) -> list[str]:
    """The columns beside that of the ids."""
    kind = task_of(task)
    predictions = _by_name(PREDICTION, task, class_names)
    if kind.is_values:
        return [*predictions, *(_by_name(SPREAD, task, class_names) if is_ensemble else ())]
    probabilities = [f"probability_{name}" for name in class_names]
    return [*predictions, *probabilities, *(("entropy", "disagreement") if is_ensemble else ())]


def _by_name(column: str, task: str, class_names: Sequence[str]) -> list[str]:
    """The names of a kind of column: one for each label, or for each of several targets; else one."""
    kind = task_of(task)
    return [f"{column}_{name}" for name in class_names] if kind.is_labels or kind.is_multitarget else [column]


def as_table(predictions: NDArray[np.float32], task: str, class_names: Sequence[str]) -> dict[str, Any]:
    """Predictions as columns.

    Args:
        predictions: (n, classes) or (n, labels) probabilities, (n,) P(second class), or (n,) or (n, targets) values.
        class_names: Of classes, labels or targets, in the order of the indices.

    Returns:
        The name of the likeliest class (of two, the second where it is more than one half), or 0 and 1 for each label,
        and the probabilities; or the value, of each of several targets.
    """
    names = column_names(task, class_names)
    kind = task_of(task)
    if kind.is_values:
        return dict(zip(names, predictions.reshape(len(predictions), -1).T, strict=True))
    guesses = kind.guesses(predictions)
    if kind.is_flat:
        predictions = np.stack([1.0 - predictions, predictions], axis=1)
    names_of_classes = np.array(class_names, object)
    chosen = [*guesses.astype(np.int8).T] if kind.is_labels else [names_of_classes[guesses.argmax(axis=1)]]
    return dict(zip(names, [*chosen, *predictions.T], strict=True))


def columns_of_doubt(
    members: NDArray[np.float32],
    predictions: NDArray[np.float32],
    task: str,
    class_names: Sequence[str],
    weights: Sequence[float],
) -> dict[str, NDArray[np.float32]]:
    """The columns that an ensemble adds, by (members, n, ...) predictions of each member and (n, ...) of all.

    `class_names` are those of `as_table`.

    Returns:
        `entropy` of the predicted probabilities, in nats, and `disagreement`, the share of members, by weight, that
        decide otherwise; of labels the means over them. Of values `spread`, the standard deviation of the members'.
    """
    if task_of(task).is_values:
        exact = members.astype(np.float64)
        variance = np.average(np.square(exact - np.average(exact, axis=0, weights=weights)), axis=0, weights=weights)
        spread = np.sqrt(variance).astype(np.float32).reshape(len(predictions), -1)
        return dict(zip(_by_name(SPREAD, task, class_names), spread.T, strict=True))
    return {"entropy": entropy(predictions, task), "disagreement": differing(members, predictions, task, weights)}


@contextmanager
def table_writer(path: Path, *, overwrite: bool) -> Iterator[Callable[[Table], None]]:
    """Write a table block by block, in the format of its suffix.

    The file appears when all of it is there, and not at all after an error.

    Yields:
        A function that appends a block: names of columns and their values.

    Raises:
        InputError: The file cannot be written, or has appeared meanwhile.
    """
    suffix = path.suffix.lower()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            with _parquet(temporary) if suffix == ".parquet" else _text(temporary, suffix) as write:
                yield write
            check_new_file(path, overwrite=overwrite)
    except OSError as error:
        raise InputError("--output", f"{path} cannot be written ({error.strerror or error})") from None


@contextmanager
def _text(path: Path, suffix: str) -> Iterator[Callable[[Table], None]]:
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")

        def write_rows(table: Table) -> None:
            if not file.tell():
                writer.writerow(table)
            writer.writerows(zip(*map(_plain, table.values()), strict=True))

        def write_objects(table: Table) -> None:
            for row in zip(*map(_plain, table.values()), strict=True):
                record = {name: finite(value) for name, value in zip(table, row, strict=True)}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write_objects if suffix == ".jsonl" else write_rows


def _plain(values: Sequence[Any] | NDArray[Any]) -> list[Any]:
    """Python's own numbers and texts; a float32 with as few digits as tell it from others."""
    if not isinstance(values, np.ndarray):
        return list(values)
    plain: list[Any] = (values.astype(str).astype(np.float64) if values.dtype == np.float32 else values).tolist()
    return plain


@contextmanager
def _parquet(path: Path) -> Iterator[Callable[[Table], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    with ExitStack() as stack:

        def write(table: Table) -> None:
            nonlocal writer
            block = pa.table({name: pa.array(values) for name, values in table.items()})
            writer = writer or stack.enter_context(pq.ParquetWriter(path, block.schema))
            writer.write_table(block)

        yield write
