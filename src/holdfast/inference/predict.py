"""Apply a run to new rows, a block at a time: what is in memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.inference.sealed import sealed_rows_refusal
from holdfast.inference.tables import as_table, columns_of_doubt, table_writer
from holdfast.vault.rows.identity import row_digests

if TYPE_CHECKING:
    from holdfast.data.new_rows import NewRows
    from holdfast.inference.network import Loaded


def predict_blocks(
    run: Path,
    data: dict[str, Any],
    blocks: Iterable[NewRows],
    output: Path,
    *,
    id_name: str,
    batch_size: int = 1024,
    overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda count: None,
) -> int:
    """Predict every block and write the table of all; nothing is written when reading a block raises.

    `data` is what the run's record says of the data, and `on_rows` is told the number of rows of every block.

    Returns:
        The number of rows.

    Raises:
        InputError: There are no rows, or rows of another shape.
        VaultRefused: A row is sealed in a vault.
    """
    done = 0
    with table_writer(output, overwrite=overwrite) as write:
        for block, predictions in predictions_of(run, data, blocks, batch_size):
            write({id_name: block.ids, **predictions})
            done += len(block.x)
            on_rows(len(block.x))
    return done


def predictions_of(
    run: Path, data: dict[str, Any], blocks: Iterable[NewRows], batch_size: int
) -> Iterator[tuple[NewRows, dict[str, Any]]]:
    """Yield every block that has rows with its predictions as columns; see `predict_blocks`.

    Raises:
        InputError: There are no rows, or rows of another shape.
        VaultRefused: A row is sealed in a vault.
    """
    refuse_sealed = sealed_rows_refusal()
    checked = _checked(blocks, data)
    first = next(checked, None)  # read before torch is imported: most mistakes are in it
    if first is None:
        raise InputError("--input", "has no rows")
    from holdfast.inference.network import load_run

    loaded = load_run(run)
    for block in chain([first], checked):
        refuse_sealed([*_digests(block.x, data), *block.digests])
        yield block, _columns(loaded, block.x, batch_size)


def _columns(loaded: Loaded, x: NDArray[Any], batch_size: int) -> dict[str, Any]:
    """The predictions of rows as columns, with those that an ensemble adds."""
    network, task, class_names = loaded.network, loaded.data["task"], loaded.data["class_names"]
    if loaded.record["kind"] != "ensemble":
        return as_table(network.predict(x, batch_size=batch_size), task, class_names)
    members, predictions = network.predict_members(x, batch_size=batch_size)
    doubts = columns_of_doubt(members, predictions, task, class_names, network.weights)
    return {**as_table(predictions, task, class_names), **doubts}


def _digests(x: NDArray[Any], data: dict[str, Any]) -> list[NDArray[np.uint8]]:
    """The form in which a vault knows rows that came as arrays."""
    names = data["feature_names"] if data["kind"] == "table" else ()
    return [row_digests(x, kind=data["kind"], feature_names=names)]


def _checked(blocks: Iterable[NewRows], data: dict[str, Any]) -> Iterator[NewRows]:
    """The blocks that have rows.

    Raises:
        InputError: Rows have another shape, or another type of numbers, than those that the run was trained on.
    """
    shape, dtype = tuple(data["row_shape"]), np.dtype(data["dtype"])
    for block in blocks:
        if block.x.shape[1:] != shape:
            problem = f"has rows of the shape {block.x.shape[1:]}, the run takes {shape}"
            raise InputError("--input", problem, next="bring them into that shape")
        if block.x.dtype != dtype:
            raise InputError("--input", f"has rows of {block.x.dtype}, the run takes {dtype}")
        if len(block.x):
            yield block
