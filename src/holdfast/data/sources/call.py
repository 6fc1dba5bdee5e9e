"""Data sets by a function of the user's own: what it returns becomes `Rows`.

    # my_rows.py, beside your configs
    import numpy as np

    def load(n: int = 1000):
        x = np.random.default_rng(0).normal(size=(n, 4))
        return x, (x.sum(axis=1) > 0).astype(int)

    python train.py data=custom data.source._target_=my_rows.load trusted_modules=[my_rows] +data.source.n=500

`as_rows` says what it may return.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from holdfast.config.resolve import arguments, call_target, find_module_file
from holdfast.core.errors import HoldfastError, InputError
from holdfast.data.arrays import rows_from_arrays
from holdfast.data.formats.typed import TypedFile
from holdfast.data.in_memory import arrow_table, is_table
from holdfast.data.rows import Rows
from holdfast.data.sources.table import load_table
from holdfast.data.tables.settings import KEYS as SETTINGS
from holdfast.data.tables.settings import table_settings

WHERE = "data.source"
FORMS = "Rows, (x, y), a mapping with x and y, (DataFrame, target), or a dataset with __len__ and __getitem__"
KEYS = ("x", "y", "task", "layout", "parts", "groups", "times", "class_names", "feature_names")
TABLE_KEYS = tuple(key for key in SETTINGS if key != "target")
BLOCK_ROWS = 65_536
SAY_EVERY = 10_000


def custom() -> NoReturn:
    """Stands for the user's function; an InputError asks for it."""
    hint = "data.source._target_=my_rows.load trusted_modules=[my_rows] names your function"
    raise InputError("data.source._target_", "is not given", next=hint)


def rows_of(source: Mapping[str, Any]) -> Rows:
    """Call a source, an entry of the config with a `_target_`, and bring what it returned into `Rows`.

    An error in a user's own function is told in one line, with the line of their file; in one of ours it is a defect.
    """
    try:
        return as_rows(call_target(source, WHERE))
    except Exception as error:
        target = source["_target_"]
        if isinstance(error, HoldfastError) or target.startswith("holdfast."):
            raise
        file = str(find_module_file(target))
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        place = f" in {Path(file).name}, line {lines[-1]}" if lines else ""
        given = ", ".join(f"{key}={value!r}" for key, value in arguments(source).items())
        call = f'python -c "import {target.rpartition(".")[0]}; {target}({given})"'
        problem = f"{target} failed{place} ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        raise InputError(WHERE, problem, next=f"{call} shows the whole traceback") from None


def as_rows(result: Any) -> Rows:
    """Bring what a source returned into `Rows`.

    Args:
        result: `Rows`; a pair (x, y) of arrays; a mapping with x, y and any of the other arguments of
            `rows_from_arrays` (parts, groups, times, class_names, feature_names, task, layout); a pair (DataFrame, name
            of the target column), or a mapping with x, y and any of the settings of `data=csv` (types, drop, group,
            time, split_column, ...); or a map-style dataset whose items are (x, y), such as torch's: arrays, tensors
            or images of one shape.

    Raises:
        InputError: It is nothing of the kind, or cannot be used.
    """
    if isinstance(result, Rows):
        return result
    if isinstance(result, Mapping):
        return _from_mapping(result)
    if isinstance(result, tuple | list) and len(result) == 2 and not hasattr(result, "__array__"):
        return _from_mapping({"x": result[0], "y": result[1]})
    is_sequence = hasattr(result, "__getitem__") and hasattr(result, "__len__")
    if is_sequence and not hasattr(result, "dtype") and not is_table(result):
        return _from_dataset(result)
    advice = "return (frame, 'target')" if is_table(result) else ""
    raise InputError(WHERE, f"returned a {type(result).__name__}", allowed=FORMS, next=advice)


def _from_mapping(mapping: Mapping[str, Any]) -> Rows:
    if lacking := [key for key in ("x", "y") if key not in mapping]:
        raise InputError(WHERE, f"returned a mapping without {' and '.join(lacking)}", allowed=", ".join(KEYS))
    known = ("x", "y", *TABLE_KEYS) if is_table(mapping["x"]) else KEYS
    if extra := [str(key) for key in mapping if key not in known]:
        raise InputError(WHERE, f"returned a mapping with {', '.join(extra)}", allowed=", ".join(known))
    if is_table(mapping["x"]):
        return _from_frame(**mapping)
    return rows_from_arrays(**mapping, where=WHERE)


def _from_frame(x: Any, y: Any, **settings: Any) -> Rows:
    names = y if isinstance(y, list | tuple) and all(isinstance(name, str) for name in y) else ()
    are_columns = bool(names) and (len(names) != len(x) or set(names) <= set(x.columns))
    if not isinstance(y, str) and not are_columns:
        x, y = x.assign(target=np.asarray(y)), "target"
    table = arrow_table(x, WHERE)
    batches = table.to_batches(max_chunksize=BLOCK_ROWS)
    file = TypedFile("frame", "frame", lambda: nullcontext((table.schema, iter(batches))))
    return load_table([(file, None)], table_settings({"target": y, **settings}), "frame")


def _from_dataset(dataset: Any) -> Rows:
    """Rows from the items of a map-style dataset."""
    if not len(dataset):
        raise InputError(WHERE, "returned a dataset without items")
    xs: list[Any] = []
    ys: list[Any] = []
    for index in range(len(dataset)):
        x, y = _pair(dataset[index], index)
        value = _item(x)
        if xs and (value.shape, value.dtype) != (xs[0].shape, xs[0].dtype):
            problem = f"item {index} is {value.dtype} of shape {value.shape}, item 0 {xs[0].dtype} of {xs[0].shape}"
            raise InputError(WHERE, problem, next="bring all items into one shape")
        xs.append(value)
        ys.append(_item(y) if not isinstance(y, str) else y)
        if index and not index % SAY_EVERY:
            print(f"holdfast: {index:,} of {len(dataset):,} items read", file=sys.stderr, flush=True)
    names = getattr(dataset, "classes", None)
    y = np.asarray(ys)
    has_names = isinstance(names, list | tuple) and y.dtype.kind in "iu" and y.ndim == 1 and y.max() < len(names)
    return rows_from_arrays(np.stack(xs), y, class_names=names if has_names and names else (), where=WHERE)


def _pair(item: Any, index: int) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        xs = [item[key] for key in ("x", "image", "img", "features", "data", "input") if key in item]
        ys = [item[key] for key in ("y", "label", "labels", "target", "fine_label") if key in item]
        if xs and ys:
            return xs[0], ys[0]
    elif isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    raise InputError(WHERE, f"item {index} of the dataset is a {type(item).__name__}", allowed="(x, y)")


def _item(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
