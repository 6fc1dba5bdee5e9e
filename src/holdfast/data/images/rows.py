"""From images, in files or as bytes, to `Rows`: their pixels in one form, their digests, and what is predicted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import raise_problems
from holdfast.data.encrypted_spool import Spool
from holdfast.data.formats.images import ImageForm
from holdfast.data.images.read import decoded, file_problems, skipped_notes
from holdfast.data.raw import EncodedImages
from holdfast.data.rows import Rows
from holdfast.data.tables.labels import targets_from_array
from holdfast.data.views import ImageView

WHERE = "data.path"

Image = TypeVar("Image", Path, bytes)


@dataclass(frozen=True, eq=False)
class Listing(Generic[Image]):
    """The images of a data set before any is decoded."""

    images: Sequence[Image]  # files, or encoded images, in the order of the rows
    labels: Any  # (n,) texts, numbers, or indices of `class_names`; a list or an array
    name_of: Callable[[int], str]  # how the image at a place is called in errors
    class_names: Sequence[str] = ()  # what indices stand for
    parts: NDArray[np.int8] | None = None  # (n,) int8
    groups: NDArray[np.int64] | None = None  # (n,) numbers
    problems: list[tuple[str, str]] = field(default_factory=list)  # names of images and what is wrong with them
    notes: list[str] = field(default_factory=list)  # what else there is to say


def image_rows(listing: Listing[Image], form: ImageForm, task: str, *, skips: bool) -> Rows:
    """Decode the images of a data set; `skips` leaves out those that cannot be used.

    Raises:
        InputError: One line for each image that cannot be used, or none can.
    """
    problems: list[tuple[str, str]] = list(listing.problems)
    chunks: list[tuple[Any, ...]] = []
    spool: Spool | None = None
    for chunk in decoded(listing.images, form):
        problems += [(listing.name_of(place), problem) for place, problem in chunk.problems]
        if skips or not problems:
            spool = spool or Spool(chunk.pixels.shape[1:], np.uint8)
            spool.append(chunk.pixels)
            chunks.append((chunk.good, chunk.digests, chunk.bytes_digests, chunk.nbytes))
    if spool is None or not len(spool) or (problems and not skips):
        raise_problems(file_problems(problems, WHERE))
    assert spool is not None
    kept, digests, of_bytes = (np.concatenate([chunk[at] for chunk in chunks]) for at in range(3))
    images = [listing.images[place] for place in kept.tolist()]
    target = targets_from_array(np.asarray(listing.labels)[kept], task, listing.class_names, "label")
    height, width, channels = spool.shape[1:]
    print(f"holdfast: {len(kept):,} images of {height}x{width}x{channels}; {target.words}", file=sys.stderr, flush=True)
    return Rows(
        x=spool.settled(),
        y=target.y,
        task=target.task,
        kind="image",
        class_names=target.class_names,
        groups=None if listing.groups is None else listing.groups[kept],
        parts=None if listing.parts is None else listing.parts[kept],
        images=EncodedImages(lambda row: content_of(images[row]), of_bytes, sum(chunk[3] for chunk in chunks)),
        digests=digests,
        other_digests=(of_bytes,),
        view=ImageView(form.mode, (height, width), form.fit).as_dict(),
        notes=(*listing.notes, *skipped_notes(problems)),
    )


def content_of(image: Path | bytes) -> bytes:
    """The bytes of an image."""
    return image if isinstance(image, bytes) else image.read_bytes()
