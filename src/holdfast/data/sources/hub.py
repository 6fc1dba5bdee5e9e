"""Data sets of the Hugging Face Hub, or in a local folder, by the library `datasets` (the extra `hub`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.core.errors import InputError
from holdfast.data.arrow import pa
from holdfast.data.formats.images import Fit, image_form
from holdfast.data.formats.typed import TypedFile
from holdfast.data.images import Listing, image_rows
from holdfast.data.rows import TRAIN, Rows
from holdfast.data.sources.table import load_table
from holdfast.data.tables.settings import PART_WORDS, check_names, table_settings

WHERE = "data.path"
TARGETS = ("label", "labels", "target", "class", "fine_label", "y")
BATCH_ROWS = 4096


def load(
    path: str | None = None,
    *,
    settings: dict[str, Any] | None = None,
    name: str | None = None,
    revision: str | None = None,
    size: int | list[int] | None = None,
    fit: Fit = "stretch",
) -> Rows:
    """The rows of all splits; train, validation and test are declared as such.

    Args:
        path: A name on the hub, or a local folder.
        settings: What the user says of the columns (`data.tables.settings.TableSettings`); without a target it is
            label, target or the like.
        name: Which of several configurations.
        revision: A commit or tag; without one, whatever is there today.
        size: Height and width that images are brought to; None: they are all alike.
        fit: How an image of another size is brought to it.

    Raises:
        InputError: The data set cannot be had, or cannot be used.
    """
    known = table_settings(settings or {})
    splits = _splits(path, name, revision)
    first = next(iter(splits.values()))
    if not known.target:
        known = replace(known, target=tuple([key for key in TARGETS if key in first.column_names][:1]))
    check_names(known, first.column_names)
    if images := [key for key, kind in first.features.items() if type(kind).__name__ == "Image"]:
        if len(known.target) > 1:
            raise InputError("data.target", f"is {list(known.target)}", allowed="one column, for images")
        form = image_form(size, "rgb", fit)
        return image_rows(_listing(splits, images[0], known.target[0]), form, known.task, skips=known.skips)
    parts = PART_WORDS if _has_parts(splits) else {}
    files = [(TypedFile(split, "table's", partial(_opened, data)), parts.get(split)) for split, data in splits.items()]
    return load_table(files, known, str(path))


@contextmanager
def _opened(dataset: Any) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The schema and the record batches of one split; classes are given by their names."""

    def batches() -> Iterator[Any]:
        for table in dataset.with_format("arrow").iter(BATCH_ROWS):
            arrays = {}
            for name in table.column_names:
                array, names = table[name].combine_chunks(), getattr(dataset.features[name], "names", None)
                if names is not None:
                    codes = array.fill_null(-1).to_numpy()  # -1 is a class that is not known
                    array = pa.array([*names, None]).take(pa.array(np.where(codes < 0, len(names), codes)))
                arrays[name] = array
            yield pa.record_batch(arrays)

    yield dataset.features.arrow_schema, batches()


def _splits(path: str | None, name: str | None, revision: str | None) -> dict[str, Any]:
    """The splits of a data set by name."""
    if not path or Path(path).expanduser().is_file():
        problem = f"{path} is a file" if path else "is not given"
        advice = "data.path=NAME (such as scikit-learn/iris), or a local folder; data=csv and others read files"
        raise InputError(WHERE, problem, next=advice)
    try:
        import datasets
    except ImportError:
        raise InputError("data", "hub needs the library datasets", next="pip install 'holdfast[hub]'") from None
    local = Path(path).expanduser()
    print(f"holdfast: reading {path} with datasets {datasets.__version__}", file=sys.stderr, flush=True)
    try:
        if (local / "dataset_dict.json").exists() or (local / "state.json").exists():
            data = datasets.load_from_disk(str(local))
        else:
            data = datasets.load_dataset(str(local) if local.is_dir() else path, name, revision=revision)
    except Exception as error:  # the library raises what its parts raise: of the network, of pyarrow, its own
        reason = " ".join(str(error).split())[:300]
        raise InputError(WHERE, f"{path} cannot be loaded ({type(error).__name__}: {reason})") from None
    splits = dict(data) if isinstance(data, dict) else {"train": data}
    if not splits or not any(len(dataset) for dataset in splits.values()):
        raise InputError(WHERE, f"{path} has no rows")
    return splits


def _listing(splits: Mapping[str, Any], image: str, target: str) -> Listing[bytes]:
    """The images of all splits with their labels."""
    from datasets import Image

    images: list[bytes] = []
    labels, names, parts, problems = [], list[str](), list[int](), list[tuple[str, str]]()
    for split, dataset in splits.items():
        for row, item in enumerate(dataset.cast_column(image, Image(decode=False))):
            cell, name = item[image], f"{split}, row {row}"
            if cell is None:
                problems.append((name, "has no image"))
                continue
            images.append(bytes(cell["bytes"] or b"") or Path(str(cell["path"])).read_bytes())
            labels.append(item[target])
            names.append(name)
            parts.append(PART_WORDS.get(split, TRAIN))
    classes = list(getattr(dataset.features[target], "names", None) or [])
    declared = np.array(parts, np.int8) if _has_parts(splits) else None
    return Listing(images, labels, names.__getitem__, classes, declared, problems=problems)


def _has_parts(splits: Mapping[str, Any]) -> bool:
    return len(splits) > 1 and all(split in PART_WORDS for split in splits)
