"""Rows: what a source returns and what is checked of it, and the form in which a vault seals rows.

A vault holds rows as their source holds them; the view of a run turns them into numbers.

form     rows of a source                  a sealed piece                       class
table    record batches of all columns     an Arrow IPC stream                  `data.tables.raw_table.RawTable`
image    encoded files                     an Arrow IPC stream of one column    `EncodedImages`
array    pixels or numbers of one shape    their bytes                          `ArrayRows`

Each form has a size, a `layout` of a sealed piece (JSON: {"form", "rows", ...}), and `pieces(order)`: the rows `order`,
in that order, some of their numbers at a time with these rows as they are sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.tasks import task_of
from holdfast.data.arrow import pa
from holdfast.data.columns import Column, number_columns, unnamed
from holdfast.vault.rows.identity import DIGEST_BYTES, RowArray, row_digests

if TYPE_CHECKING:
    from holdfast.data.tables.raw_table import RawTable
    from holdfast.data.tables.settings import TableSettings

Task = Literal["multiclass", "binary", "multilabel", "regression", "multitarget"]
Kind = Literal["image", "table", "array"]

Array = NDArray[Any]
Order = NDArray[np.int64]
BLOCK_BYTES = 4 * 2**20
PIECE_BYTES = 2**20
GATHER_BYTES = 16 * 2**20  # rows that are gathered at once: each time may be a pass over all of them
TRAIN, VAL, TEST = 0, 1, 2
TARGET_TYPES = {
    **{"multiclass": "int64", "binary": "int64", "multilabel": "uint8"},
    **{"regression": "float32", "multitarget": "float32"},
}


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a data set, train, val and test alike, in the order of the source.

    Features come in one of three forms: arrays (`x`); raw cells of a table (`table`, with the settings of its view); or
    images in files (`images`, their bytes, and `x`, what the view of the run made of them).
    """

    # (n, H, W, C) uint8 images, (n, d) float32 or float64 tables, (n, ...) arrays; a memory map or a
    # `data.encrypted_spool.Spool` where they may be many. None: the rows are those of `table`
    x: RowArray | None
    # (n,) int64 class indices (binary: 0 and 1), (n,) or (n, k) float32 values, or (n, k) uint8 labels
    y: Array
    task: Task  # what is predicted
    kind: Kind  # how `x` is laid out
    class_names: tuple[str, ...] = ()  # one per class, label or target of several; empty for one value
    target_name: str = "target"  # what `y` is called: a table's column
    # (n,) number of the group of each row: a patient, a scene; a group stays on one side. None: no groups
    groups: NDArray[np.int64] | None = None
    times: NDArray[Any] | None = None  # (n,) when each row was taken, as a number; None where that is not known
    # the columns of a table in `x`, where a missing number is NaN; numbers without names where they are not given
    columns: tuple[Column, ...] = ()
    # (n,) int8: 0 train, 1 val, 2 test, as a column, the files or a publication declare it; None: none does
    parts: NDArray[np.int8] | None = None
    table: RawTable | None = None  # raw cells, all columns of the source
    settings: TableSettings | None = None  # what the user says of the columns of `table`
    images: EncodedImages | None = None
    # (n, 16) digests of the images in `images`, in their own size and mode; None: taken from `x`
    digests: RowArray | None = None
    # (n, 16) each: further digests that a row is known by, such as of the bytes of an image
    other_digests: tuple[RowArray, ...] = ()
    # what made `x` of the source's rows, as `data.views` has it; empty: they are as they came
    view: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # warnings, each shown once: columns or rows that were left out, and why
    pixel_scale: float = 1.0  # what the source's numbers were multiplied by to become the bytes of images
    files: tuple[str, ...] = ()  # files and folders that were read beside those that the source's arguments name

    def __post_init__(self) -> None:
        if self.kind == "table" and self.x is not None and self.x.ndim == 2 and not self.columns:
            object.__setattr__(self, "columns", number_columns(unnamed(self.x.shape[1])))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of a table in `x`."""
        return tuple(column.name for column in self.columns)


def check_rows(rows: Rows) -> None:
    """Refuse rows whose parts do not fit each other, every problem at once; what they hold is the source's to check."""
    features = rows.table if rows.table is not None else rows.x
    has_rows = features is not None and len(features)
    messages = [*_shape_problems(rows), *_target_problems(rows)] if has_rows else ["has no rows"]
    raise_problems([Problem("data.source", message) for message in messages])


def blocks_of(x: RowArray) -> Iterator[tuple[int, Array]]:
    """Rows a few MiB at a time, each block with the place of its first row."""
    size = max(1, BLOCK_BYTES // max(1, x.nbytes // max(1, len(x))))
    return ((start, np.asarray(x[start : start + size])) for start in range(0, len(x), size))


def stratum_of(y: Array, task: str) -> NDArray[Any] | None:
    """The class of every row, which is what splits are stratified by; None for tasks without classes.

    A number has no more bytes than the largest needs: there may be very many rows.
    """
    if not task_of(task).is_classes:
        return None
    return y.astype(np.min_scalar_type(int(y.max(initial=0))), copy=False)


def parts_note(parts: NDArray[np.int8]) -> str:
    """The note on parts that a source declares."""
    train, val, test = np.bincount(parts, minlength=3).tolist()
    declared = f"{train:,} train, {val:,} val and {test:,} test rows"
    return f"the source declares {declared}; split=auto and predefined keep to that"


def _shape_problems(rows: Rows) -> list[str]:
    problems = []
    x, y = rows.x, rows.y
    num_rows = len(rows.table if rows.table is not None else x)  # type: ignore[arg-type]
    if len(y) != num_rows:
        problems.append(f"has {num_rows} rows and {len(y)} targets")
    for name, values in (("groups", rows.groups), ("times", rows.times), ("parts", rows.parts)):
        if values is not None and values.shape != (num_rows,):
            problems.append(f"{name} has shape {values.shape}, expected ({num_rows},)")
    if rows.parts is not None and not np.isin(rows.parts, (TRAIN, VAL, TEST)).all():
        problems.append(f"parts holds {np.unique(rows.parts).tolist()}, expected {TRAIN}, {VAL} and {TEST}")
    return problems


def _target_problems(rows: Rows) -> list[str]:
    expected = TARGET_TYPES.get(rows.task)
    if expected is None:
        return [f"task {rows.task!r} is none of {', '.join(TARGET_TYPES)}"]
    y, task = rows.y, task_of(rows.task)
    dimensions = 1 if task.is_classes or task.is_flat else 2
    if str(y.dtype) != expected or y.ndim != dimensions:
        wanted = f"expected {expected} with {dimensions}"
        return [f"targets of a {rows.task} task are {y.dtype} with {y.ndim} axes, {wanted}"]
    num_classes = len(rows.class_names)
    if dimensions == 2:
        return [] if y.shape[1] == num_classes else [f"has targets of {y.shape[1]} columns and {num_classes} names"]
    if task.is_values:
        return []
    if num_classes < 2 or (task.is_flat and num_classes != 2):
        return [f"a {rows.task} task has {num_classes} class names"]
    outside = np.flatnonzero((y < 0) | (y >= num_classes))
    return [f"row {outside[0]} has class {y[outside[0]]}, expected 0 to {num_classes - 1}"] if len(outside) else []


# --- rows as they are sealed ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """Pixels or numbers of one shape."""

    x: RowArray  # (n, ...) rows
    # (n, 16) of these rows; None: they are a copy of the source's, which nobody else writes to
    digests: RowArray | None
    kind: str  # how they were digested

    def __len__(self) -> int:
        return len(self.x)

    @property
    def nbytes(self) -> int:
        """The size of all rows."""
        return int(self.x.nbytes)

    @property
    def layout(self) -> dict[str, Any]:
        """The type of the numbers and the shape of a row."""
        dtype = self.x.dtype.newbyteorder("<").str
        return {"form": "array", "rows": len(self), "dtype": dtype, "shape": [int(size) for size in self.x.shape[1:]]}

    def pieces(self, order: Order) -> Iterator[tuple[Order, bytes]]:
        """The rows in an order, piece by piece; every row is digested again, and a changed one refused."""
        row_bytes = max(1, self.nbytes // max(1, len(self)))
        size = max(1, PIECE_BYTES // row_bytes)
        for rows in windows(order, max(size, GATHER_BYTES // row_bytes)):
            block = np.asarray(self.x[rows])
            known = None if self.digests is None else self.digests[rows]
            if known is not None and not np.array_equal(row_digests(block, kind=self.kind), known):
                raise _changed()
            block = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False))
            for start in range(0, len(rows), size):
                yield rows[start : start + size], block[start : start + size].tobytes()


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images as the bytes of their files, read again where they are sealed."""

    image_of: Callable[[int], Path | bytes]  # gives the image with a number: its file, or its bytes
    digests: NDArray[np.uint8]  # (n, 16) of these bytes (`bytes_digest`)
    nbytes: int  # of all images

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def layout(self) -> dict[str, Any]:
        """Encoded images have no shape."""
        return {"form": "image", "rows": len(self)}

    def pieces(self, order: Order) -> Iterator[tuple[Order, bytes]]:
        """The images in an order, piece by piece; as `ArrayRows.pieces`."""
        for rows in windows(order, max(1, PIECE_BYTES * len(self) // max(1, self.nbytes))):
            given = [self.image_of(row) for row in rows.tolist()]
            try:
                images = [image if isinstance(image, bytes) else image.read_bytes() for image in given]
            except OSError:
                raise _changed() from None
            if not np.array_equal(np.stack([bytes_digest(image) for image in images]), self.digests[rows]):
                raise _changed()
            yield rows, ipc_stream(pa.table({"image": pa.array(images, pa.large_binary())})).to_pybytes()


def bytes_digest(content: bytes) -> NDArray[np.uint8]:
    """(16,) digest of an encoded image: it is known by it where another decoder gives other pixels."""
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES, person=b"holdfast file 1").digest()
    return np.frombuffer(digest, np.uint8)


def read_piece(layout: dict[str, Any], content: bytes) -> Any:
    """A sealed piece as rows, as a view takes them: a record batch, a list of encoded images, or an array."""
    if layout["form"] == "array":
        return np.frombuffer(content, layout["dtype"]).reshape(-1, *layout["shape"])
    with pa.ipc.open_stream(content) as reader:
        table = reader.read_all().combine_chunks()
    if layout["form"] == "image":
        return table.column("image").to_pylist()
    return table.to_batches()[0]


def ipc_stream(table: Any) -> Any:
    """A table or record batch of pyarrow's as a buffer that holds an Arrow IPC stream."""
    with pa.BufferOutputStream() as sink:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write(table)
        return sink.getvalue()


def windows(order: Order, size: int) -> Iterator[Order]:
    """The numbers of rows, `size` of them at a time."""
    return (order[start : start + size] for start in range(0, len(order), size))


def _changed() -> InputError:
    return InputError("data", "the source changed while it was read", next="try again when nothing writes to it")
