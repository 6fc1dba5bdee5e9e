"""A run applied to new rows: of files a block at a time, so that memory does not grow with them, or of a frame.

Rows that are sealed in a vault are not predicted on: that would be an opening that no ledger tells of.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.in_memory import told_without, write_rows
from holdfast.data.new_rows import NewRows, read_like
from holdfast.inference.checks import read_predicting_run
from holdfast.inference.tables import as_table, columns_of_doubt, table_writer
from holdfast.vault import known_rows, lifecycle, registry
from holdfast.vault.rows.digest_sets import Fingerprints
from holdfast.vault.rows.identity import row_digests

if TYPE_CHECKING:
    import pandas as pd

    from holdfast.inference.network import Loaded

WHERE = "rows"  # of a frame
SealedVaults = list[tuple[dict[str, Any], Fingerprints]]


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


def predict_frame(run: Path, rows: Any, *, batch_size: int = 1024) -> pd.DataFrame:
    """Predict rows in memory; see `holdfast.Run.predict`.

    The rows are read as `holdfast predict` reads a file, so that both refuse the same and answer the same.
    """
    import pandas as pd

    record = read_predicting_run(run)
    if batch_size < 1:
        raise InputError("batch_size", f"is {batch_size}", allowed="1 or more")
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        path, _ = write_rows(rows, None, Path(folder), WHERE)
        with told_without(path, WHERE):
            blocks = read_like(record["data"], path, settings=record["config"].get("data"))
            tables = [table for _, table in predictions_of(run, record["data"], blocks, batch_size)]
    columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return pd.DataFrame(columns, index=rows.index if hasattr(rows, "iloc") else None)


def predictions_of(
    run: Path, data: dict[str, Any], blocks: Iterable[NewRows], batch_size: int
) -> Iterator[tuple[NewRows, dict[str, Any]]]:
    """Yield every block that has rows with its predictions as columns; see `predict_blocks`.

    Raises:
        InputError: There are no rows, or rows of another shape.
        VaultRefused: A row is sealed in a vault.
    """
    sealed, num_rows = sealed_vaults(), 0
    checked = _checked(blocks, data)
    first = next(checked, None)  # read before torch is imported: most mistakes are in it
    if first is None:
        raise InputError("--input", "has no rows")
    from holdfast.inference.network import load_run

    loaded = load_run(run)
    names = data["feature_names"] if data["kind"] == "table" else ()
    for block in chain([first], checked):
        as_arrays = row_digests(block.x, kind=data["kind"], feature_names=names)  # a vault knows rows in several forms
        num_rows += len(block.x)
        refuse_sealed([as_arrays, *block.digests], sealed, num_rows)
        yield block, _columns(loaded, block.x, batch_size)


def sealed_vaults() -> SealedVaults:
    """The vaults in force with the fingerprints of their rows; none where there is no HOLDFAST_HOME.

    Raises:
        VaultRefused: The key of the fingerprints is gone.
    """
    if not (places.vaults().is_dir() or places.registry().is_dir()):
        return []
    if lifecycle.unregistered():
        with registry.locked():
            lifecycle.recover()
    return [(record, known_rows.sealed_rows(record["vault"])) for record in registry.in_force()]


def refuse_sealed(forms: Sequence[NDArray[np.uint8]], sealed: SealedVaults, num_rows: int) -> None:
    """Refuse a block with sealed rows, by digests in one form or several: a match of any is a match.

    A row whose fingerprint is ambiguous matches nothing. `num_rows` counts this block and those before it.
    """
    for record, rows in sealed:
        if count := int(np.logical_or.reduce([rows.are_sealed(digests) for digests in forms]).sum()):
            name = f"vault {record['vault'][:8]} ({record['name']})"
            problem = f"{count:,} of the first {num_rows:,} rows are sealed in {name}: nothing was written"
            hint = "predict on other rows; `holdfast freeze` and `holdfast open` evaluate these, once"
            raise VaultRefused("--input", problem, next=hint)


def _columns(loaded: Loaded, x: NDArray[Any], batch_size: int) -> dict[str, Any]:
    """The predictions of rows as columns, with those that an ensemble adds."""
    network, task, class_names = loaded.network, loaded.data["task"], loaded.data["class_names"]
    if loaded.record["kind"] != "ensemble":
        return as_table(network.predict(x, batch_size=batch_size), task, class_names)
    members, predictions = network.predict_members(x, batch_size=batch_size)
    doubts = columns_of_doubt(members, predictions, task, class_names, network.weights)
    return {**as_table(predictions, task, class_names), **doubts}


def _checked(blocks: Iterable[NewRows], data: dict[str, Any]) -> Iterator[NewRows]:
    """The blocks that have rows; those of another shape or type than the run was trained on are refused."""
    shape, dtype = tuple(data["row_shape"]), np.dtype(data["dtype"])
    for block in blocks:
        if block.x.shape[1:] != shape:
            problem = f"has rows of the shape {block.x.shape[1:]}, the run takes {shape}"
            raise InputError("--input", problem, next="bring them into that shape")
        if block.x.dtype != dtype:
            raise InputError("--input", f"has rows of {block.x.dtype}, the run takes {dtype}")
        if len(block.x):
            yield block
