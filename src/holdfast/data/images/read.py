"""Many image files, decoded by several processes into rows of one shape, with all that is wrong with any of them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.cores import num_cores
from holdfast.core.errors import Problem
from holdfast.data.formats.images import CHANNELS, ImageForm, Pixels, is_gray, read_image
from holdfast.data.raw import bytes_digest
from holdfast.vault.rows.identity import DIGEST_BYTES, row_digests

CHUNK_FILES = 64
CHUNK_BYTES = 4 * 2**20
MIN_FILES_A_PROCESS = 300
SAY_EVERY_S = 5.0
MAX_LISTED = 20
MODE_SAMPLE = 500


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


def skipped_notes(problems: Sequence[tuple[str, str]]) -> list[str]:
    """The notes on files that were left out."""
    if not problems:
        return []
    shown = "; ".join(f"{name} {problem}" for name, problem in problems[:MAX_LISTED])
    return [f"{len(problems):,} left out: {shown}{'; ...' if len(problems) > MAX_LISTED else ''}"]


def _first_shape(images: Sequence[str | bytes], form: ImageForm) -> tuple[int, ...]:
    for image in images[:1000]:
        read = read_image(image, form)
        if not isinstance(read, str):
            return read[0].shape
    return (1, 1, CHANNELS[form.mode])


def _decode_chunk(task: tuple[int, list[str | bytes], ImageForm, tuple[int, ...]]) -> Decoded:
    start, images, form, shape = task
    good: list[int] = []
    pixels: list[Pixels] = []
    digests: list[NDArray[np.uint8]] = []
    bytes_digests: list[NDArray[np.uint8]] = []
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
    none = np.zeros((0, DIGEST_BYTES), np.uint8)
    return Decoded(
        pixels=np.array(pixels, np.uint8).reshape(-1, *shape),
        digests=np.concatenate([none, *digests]),
        bytes_digests=np.concatenate([none, *bytes_digests]),
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
    """A worker whose parent was killed would wait for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
