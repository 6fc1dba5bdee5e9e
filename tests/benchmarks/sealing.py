"""Costs of sealing: time beside preparing the rows, memory, and how fast rows are fingerprinted.

    python tests/benchmarks/sealing.py                        # all figures; a minute or two
    python tests/benchmarks/sealing.py arrays fingerprints    # some of them
    python tests/benchmarks/sealing.py jpegs --tar cifar10-jpg.tar

Every figure is taken in a process of its own, under a HOLDFAST_HOME of its own. Sealing is everything that a vault asks
for: digests, content id, choosing the test part, fingerprints, encryption, ledger, registry. Preparing is everything
else: reading the source and writing train and val rows. Memory is the peak of anonymous memory above what was there
after the imports; the rows themselves are mapped from a file, so that what counts is what sealing adds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
TAR = Path(os.environ.get("HOLDFAST_TEST_DATA", ROOT.parent / "shared" / "data")) / "cifar10-jpg.tar"
CIFAR_ROWS, CIFAR_TEST, TABLE_ROWS, TABLE_COLUMNS = 60_000, 10_000, 10_000_000, 20
MIB = 2**20
TABLE_MEMORY = {"table_memory": 1_000_000, "large_table_memory": TABLE_ROWS}
FIGURES = ("arrays", "jpegs", "memory", *TABLE_MEMORY, "fingerprints", "table")
loading_s = 0.0


# --- sources, named by `_target_` as a user's are ---------------------------------------------------------------------


def from_arrays(path: str) -> Any:
    """60,000 images of CIFAR's size, mapped from a file; the last 10,000 are the official test part."""
    from holdfast.data.rows import TEST, TRAIN, Rows

    x, y = (np.load(f"{path}/{name}.npy", mmap_mode="r") for name in "xy")
    official = np.arange(len(x)) >= len(x) - CIFAR_TEST
    names = tuple(map(str, range(10)))
    return Rows(
        x=x,
        y=y,
        task="multiclass",
        kind="image",
        class_names=names,
        parts=np.where(official, TEST, TRAIN).astype(np.int8),
    )


def from_table(path: str) -> Any:
    """Rows of 20 numbers, mapped from a file."""
    from holdfast.data.columns import Column
    from holdfast.data.rows import Rows

    x, y = (np.load(f"{path}/{name}.npy", mmap_mode="r") for name in "xy")
    columns = tuple(Column(f"column {index:02d}", "number") for index in range(x.shape[1]))
    return Rows(x=x, y=y, task="binary", kind="table", class_names=("no", "yes"), columns=columns)


def from_jpegs(path: str) -> Any:
    """CIFAR-10 as 60,000 JPEG files in one folder a class, decoded one by one."""
    from PIL import Image

    from holdfast.data.rows import TEST, TRAIN, Rows

    files = sorted(Path(path).glob("*/*/*.jpg"))
    classes = sorted({file.parent.name for file in files})
    x = np.empty((len(files), 32, 32, 3), np.uint8)
    for index, file in enumerate(files):
        with Image.open(file) as image:
            x[index] = np.asarray(image.convert("RGB"))
    y = np.array([classes.index(file.parent.name) for file in files])
    official = np.array([file.parts[-3] == "test" for file in files])
    return Rows(
        x=x,
        y=y,
        task="multiclass",
        kind="image",
        class_names=tuple(classes),
        parts=np.where(official, TEST, TRAIN).astype(np.int8),
    )


def timed(source: str, path: str) -> Any:
    """Call another source of this file and note how long it took."""
    global loading_s  # noqa: PLW0603
    start = time.perf_counter()
    rows = globals()[source](path)
    loading_s = time.perf_counter() - start
    return rows


# --- figures ----------------------------------------------------------------------------------------------------------


def measure_sealing(source: str, path: Path, split: str) -> dict[str, float]:
    """Seconds of loading, sealing and writing, and the peak of memory while sealing."""
    import sealing as here  # the module that the source is found in

    from holdfast.core import places
    from holdfast.data.rows import check_rows
    from holdfast.data.sources.call import rows_of
    from holdfast.data.store import partition, row_keys, store, worker, write
    from holdfast.vault import lifecycle, registry, sealing

    entry = {"_target_": "sealing.timed", "source": source, "path": str(path)}
    data = {"name": "benchmark", "source": entry}
    settings = yaml.safe_load((ROOT / "conf" / "vault" / "once.yaml").read_text())
    request = store.make_request(data, {"_target_": f"holdfast.data.splits.{split}"}, settings)
    places.store().mkdir(parents=True)
    with peak_memory() as peak:
        start = time.perf_counter()
        rows = rows_of(request["source"])
        check_rows(rows)
        forms = row_keys.forms_of(rows)
        with registry.locked():
            lifecycle.recover()
            parts = partition.divide(request, rows, forms)
            vault = sealing.seal(worker.seal_request(request, parts))
        sealing_s = time.perf_counter() - start - here.loading_s
    start = time.perf_counter()
    folder = write.write_raw("benchmark", vault, parts)
    write.write_view(folder, parts, write.make_view(rows, parts.development), [])
    writing_s = time.perf_counter() - start
    return {"loading_s": here.loading_s, "sealing_s": sealing_s, "writing_s": writing_s, "peak_bytes": peak[0]}


def measure_fingerprints(x: Any, kind: str) -> float:
    """Rows per second that are digested and fingerprinted in one process."""
    from holdfast.vault.rows.digest_sets import fingerprints_of
    from holdfast.vault.rows.identity import row_digests

    start = time.perf_counter()
    fingerprints_of(row_digests(x, kind=kind), b"k" * 32)
    return len(x) / (time.perf_counter() - start)


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """The peak of anonymous memory above that at the start, sampled every two milliseconds, in bytes."""
    start, peak, stop = anonymous_bytes(), [0], threading.Event()

    def sample() -> None:
        while not stop.wait(0.002):
            peak[0] = max(peak[0], anonymous_bytes() - start)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def anonymous_bytes() -> int:
    """Memory of this process that is in no file (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def images(folder: Path, num_rows: int = CIFAR_ROWS) -> Path:
    """Random images on disk."""
    random = np.random.default_rng(0)
    np.save(folder / "x.npy", random.integers(0, 256, (num_rows, 32, 32, 3), dtype=np.uint8))
    np.save(folder / "y.npy", random.integers(0, 10, num_rows))
    return folder


def table(folder: Path, num_rows: int) -> Path:
    """Random numbers on disk."""
    random = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (num_rows, TABLE_COLUMNS))
    for start in range(0, num_rows, 100_000):
        x[start : start + 100_000] = random.standard_normal(
            (len(x[start : start + 100_000]), TABLE_COLUMNS), np.float32
        )
    np.save(folder / "y.npy", random.integers(0, 2, num_rows))
    return folder


def figure(name: str, tar: Path) -> list[tuple[str, float, float, str]]:
    """(what, value, bound, unit) of one figure; a negative bound is a lower one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name == "fingerprints":
            x = np.load(images(folder, 30_000) / "x.npy")
            return [
                ("fingerprints of CIFAR-sized rows, per second", measure_fingerprints(x, "image"), -100_000, "rows/s")
            ]
        if name == "table":
            x = np.load(table(folder, TABLE_ROWS) / "x.npy", mmap_mode="r")
            seconds = TABLE_ROWS / measure_fingerprints(x, "table")
            return [(f"fingerprints of {TABLE_ROWS:,} rows of 20 numbers", seconds, 30, "s")]
        if name == "jpegs":
            with tarfile.open(fileobj=io.BytesIO(tar.read_bytes())) as archive:
                archive.extractall(folder, filter="data")
            figures = measure_sealing("from_jpegs", folder / "cifar10", "Predefined")
            preparing = figures["loading_s"] + figures["writing_s"]
            claim = f"sealing beside preparing 60,000 JPEG files ({figures['sealing_s']:.2f} s of {preparing:.2f} s)"
            return [(claim, 100 * figures["sealing_s"] / preparing, 25, "%")]
        if name in TABLE_MEMORY:
            num_rows = TABLE_MEMORY[name]
            figures = measure_sealing("from_table", table(folder, num_rows), "Holdout")
        else:
            num_rows = CIFAR_ROWS
            figures = measure_sealing("from_arrays", images(folder), "Predefined")
        if name == "arrays":
            return [("sealing from arrays of CIFAR's size", figures["sealing_s"], 3, "s")]
        bound = 64 + 16 * num_rows / MIB
        words = f"a table of {num_rows:,} rows" if name in TABLE_MEMORY else "arrays of CIFAR's size"
        return [(f"memory of sealing {words}", figures["peak_bytes"] / MIB, bound, "MiB")]


def main() -> int:
    """Print every figure beside its bound; the exit code is 1 when one is missed."""
    parser = argparse.ArgumentParser(description="what sealing costs")
    parser.add_argument("figures", nargs="*", help=f"some of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--tar", type=Path, default=TAR, help="CIFAR-10 as JPEG files")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.json:
        print(json.dumps(figure(given.figures[0], given.tar)))
        return 0
    is_missed = False
    for name in given.figures or FIGURES:
        if name == "jpegs" and not given.tar.is_file():
            print(f"left out  jpegs: there is no {given.tar}")
            continue
        for claim, value, bound, unit in _in_a_process(name, given.tar):
            is_kept = value >= -bound if bound < 0 else value <= bound
            is_missed |= not is_kept
            sign = ">=" if bound < 0 else "<="
            print(
                f"{'kept' if is_kept else 'MISSED':9} {claim}: {value:,.1f} {unit} ({sign} {abs(bound):,.0f})",
                flush=True,
            )
    return int(is_missed)


def _in_a_process(name: str, tar: Path) -> list[tuple[str, float, float, str]]:
    with tempfile.TemporaryDirectory() as home:
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", str(ROOT / "src"))])
        # As a preparation is started by `data.store.store`.
        memory = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
        environment = {**os.environ, **memory, "HOLDFAST_HOME": home, "PYTHONPATH": path}
        command = [sys.executable, __file__, name, "--tar", str(tar), "--json"]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    results: list[tuple[str, float, float, str]] = [tuple(result) for result in json.loads(done.stdout)]
    return results


if __name__ == "__main__":
    raise SystemExit(main())
