"""Many images, in files or as bytes, decoded by several processes into rows of one shape, with what is wrong with any.

`image_rows` makes `Rows` of them: their pixels in one form, their digests, and what is predicted.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from holdfast.core.cores import num_cores
from holdfast.core.errors import Problem, raise_problems
from holdfast.data.encrypted_spool import Spool
from holdfast.data.formats.images import CHANNELS, ImageForm, Pixels, is_gray, read_image
from holdfast.data.rows import EncodedImages, Rows, bytes_digest
from holdfast.data.tables.labels import targets_from_array
from holdfast.data.views import ImageView
from holdfast.vault.rows.identity import DIGEST_BYTES, row_digests

WHERE = "data.path"
CHUNK_FILES = 64
CHUNK_BYTES = 4 * 2**20
MIN_FILES_A_PROCESS = 300
SAY_EVERY_S = 5.0
MAX_LISTED = 20
MODE_SAMPLE = 500

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


@dataclass(frozen=True)
class Decoded:
    """The images in a chunk of files, and the problems with the others."""

    pixels: Pixels  # (k, H, W, C) of the good ones
    digests: NDArray[np.uint8]  # (k, 16) of the images in their own size, gray or RGB
    bytes_digests: NDArray[np.uint8]  # (k, 16) of the bytes of their files
    nbytes: int  # the size of these files
    good: NDArray[np.int64]  # (k,) their places among all files
    problems: list[tuple[int, str]]  # place and words for each file that is not


def decoded(images: Sequence[Path | bytes], form: ImageForm) -> Iterator[Decoded]:
    """Decode images, in files or their bytes, in order, a chunk at a time, and say on stderr how far it is.

    Without a size in its form, every image has that of the first one that can be read.
    """
    given = [image if isinstance(image, bytes) else str(image) for image in images]
    shape = _first_shape(given, form) if form.size is None else (*form.size, CHANNELS[form.mode])
    size = max(1, min(CHUNK_FILES, CHUNK_BYTES // max(1, int(np.prod(shape)))))
    starts, began = range(0, len(given), size), time.monotonic()
    last_report = began
    with _mapped(len(given)) as run:
        for start, chunk in zip(starts, run((at, given[at : at + size], form, shape) for at in starts), strict=True):
            yield chunk
            if (now := time.monotonic()) - last_report >= SAY_EVERY_S:
                last_report, done = now, min(start + size, len(given))
                words = f"{done:,} of {len(given):,} images decoded ({done / (now - began):,.0f} a second)"
                print(f"holdfast: {words}", file=sys.stderr, flush=True)


def gray_or_rgb(files: Sequence[Path]) -> Literal["gray", "rgb"]:
    """The mode of images that do not say theirs: gray where all are, of some hundreds spread over the files."""
    seen = {is_gray(file) for file in files[:: -(-len(files) // MODE_SAMPLE) or 1]}
    return "gray" if True in seen and False not in seen else "rgb"


def file_problems(problems: Sequence[tuple[str, str]], where: str, *, may_skip: bool = True) -> list[Problem]:
    """Files and what is wrong with them as problems: each of the first few, and a count of the others."""
    shown = [Problem(where, f"{name} {problem}") for name, problem in problems[:MAX_LISTED]]
    if len(problems) > MAX_LISTED:
        shown.append(Problem(where, f"and {len(problems) - MAX_LISTED:,} others like these"))
    advice = "mend or remove them" + (", or data.on_error=skip leaves them out" if may_skip else "")
    return [*shown[:-1], replace(shown[-1], next=advice)] if shown else []


def image_rows(listing: Listing[Image], form: ImageForm, task: str, *, skips: bool) -> Rows:
    """Decode the images of a data set; those that cannot be used are refused, one line each, or left out by `skips`."""
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
    shown = "; ".join(f"{name} {problem}" for name, problem in problems[:MAX_LISTED])
    more = "; ..." if len(problems) > MAX_LISTED else ""
    left_out: list[str] = [f"{len(problems):,} left out: {shown}{more}"] if problems else []
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
        images=EncodedImages(images.__getitem__, of_bytes, sum(chunk[3] for chunk in chunks)),
        digests=digests,
        other_digests=(of_bytes,),
        view=ImageView(form.mode, (height, width), form.fit).as_dict(),
        notes=(*listing.notes, *left_out),
    )


def _first_shape(images: Sequence[str | bytes], form: ImageForm) -> tuple[int, ...]:
    for image in images[:1000]:
        read = read_image(image, form)
        if not isinstance(read, str):
            return read[0].shape
    return (1, 1, CHANNELS[form.mode])


def _decode_chunk(task: tuple[int, list[str | bytes], ImageForm, tuple[int, ...]]) -> Decoded:
    start, images, form, shape = task
    none = np.zeros((0, DIGEST_BYTES), np.uint8)
    digests, bytes_digests = [none], [none]
    good: list[int] = []
    pixels: list[Pixels] = []
    problems: list[tuple[int, str]] = []
    nbytes = 0
    for place, image in enumerate(images, start=start):
        read = read_image(image, form)
        if isinstance(read, str):
            problems.append((place, read))
            continue
        fitted, own, content = read
        if fitted.shape != shape:
            size, other = (f"{height}x{width}" for height, width, _ in (fitted.shape, shape))
            problems.append((place, f"is {size} and not {other} pixels large: data.size brings all to one size"))
            continue
        good.append(place)
        pixels.append(fitted)
        digests.append(row_digests(own[None], kind="image"))
        bytes_digests.append(bytes_digest(content)[None])
        nbytes += len(content)
    return Decoded(
        pixels=np.array(pixels, np.uint8).reshape(-1, *shape),
        digests=np.concatenate(digests),
        bytes_digests=np.concatenate(bytes_digests),
        nbytes=nbytes,
        good=np.array(good, np.int64),
        problems=problems,
    )


@contextmanager
def _mapped(num_files: int) -> Iterator[Any]:
    """A function that maps `_decode_chunk` over tasks, in order, by as many processes as pay."""
    processes = min(num_cores(), num_files // MIN_FILES_A_PROCESS)
    if processes < 2:
        yield lambda tasks: map(_decode_chunk, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:

        def run(tasks: Iterable[Any]) -> Iterator[Decoded]:
            waiting: deque[Future[Decoded]] = deque()
            for task in tasks:
                waiting.append(pool.submit(_decode_chunk, task))
                if len(waiting) > 4 * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            yield run
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker with its parent: without one it would wait for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
