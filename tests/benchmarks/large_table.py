"""A large table from its file to one trained epoch: how long it takes, and how much memory.

    python tests/benchmarks/large_table.py                               # 10 million rows of 20 numbers, as Parquet
    python tests/benchmarks/large_table.py --format csv --rows 1000000
    python tests/benchmarks/large_table.py --mixed --rows 100000         # ten of the columns hold categories

Memory is the peak of anonymous memory (RssAnon of /proc/<pid>/status, sampled) of the process that prepares, of its
workers together, and of the process that trains; pages of mapped files are not counted. The bound is 2 GiB each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
BOUND_MIB = 2048
COLUMNS = 20
BLOCK_ROWS = 250_000
TRAIN = ["max_epochs=1", "model=linear", "batch_size=4096", "logger=none", "trainer=cpu"]


def write(path: Path, num_rows: int, *, is_mixed: bool) -> None:
    """Random numbers, and a target of two classes that follows from two of them."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    random, writer = np.random.default_rng(0), None
    for start in range(0, num_rows, BLOCK_ROWS):
        size = min(BLOCK_ROWS, num_rows - start)
        numbers = np.round(random.standard_normal((size, COLUMNS)), 4)
        columns: dict[str, Any] = {f"x{index:02d}": numbers[:, index] for index in range(COLUMNS)}
        if is_mixed:
            for index in range(COLUMNS // 2):
                words = np.array([f"word {word}" for word in range(20 * (index + 1))], object)
                columns[f"x{index:02d}"] = words[random.integers(0, len(words), size)]
        columns["target"] = np.where(numbers[:, -1] + numbers[:, -2] > 0, "yes", "no")
        table = pa.table(columns)
        if writer is None:
            make = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
            writer = make(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that is in no file; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def processes(pid: int) -> dict[int, str]:
    """A process and all below it, with what each of them is."""
    kinds, waiting = {}, [(pid, "training")]
    while waiting:
        process, kind = waiting.pop()
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        except OSError:
            continue
        if b"holdfast.data.store.worker" in words:
            kind = "preparation"
        kinds[process] = kind
        below = "workers of the preparation" if kind.endswith("preparation") else "workers of the training"
        waiting += [(int(child), below) for child in children]
    return kinds


def run(words: list[str], environment: dict[str, str], folder: str) -> tuple[float, dict[str, int]]:
    """Seconds that a command takes, and the peak of each kind of its processes; of several of a kind, together."""
    start, peaks, stop = time.perf_counter(), dict[str, int](), threading.Event()
    child = subprocess.Popen(words, env=environment, cwd=folder)

    def sample() -> None:
        while not stop.wait(0.02):
            now: dict[str, int] = {}
            for pid, kind in processes(child.pid).items():
                now[kind] = now.get(kind, 0) + anonymous_bytes(pid)
            for kind, size in now.items():
                peaks[kind] = max(peaks.get(kind, 0), size)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        code = child.wait()
    finally:
        stop.set()
        thread.join()
    if code:
        raise SystemExit(code)
    return time.perf_counter() - start, peaks


def main() -> int:
    """Print times and peaks; the exit code is 1 when a process takes more than 2 GiB."""
    parser = argparse.ArgumentParser(description="a large table from its file to one trained epoch")
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--mixed", action="store_true", help="ten of the twenty columns hold categories")
    parser.add_argument("--keep", type=Path, help="a folder for the file, which is kept and used again")
    given = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory(dir=given.keep) as temporary:
        name = f"{'mixed' if given.mixed else 'numbers'}-{given.rows}.{given.format}"
        path = (given.keep or Path(temporary)) / name
        if not path.exists():
            write(path, given.rows, is_mixed=given.mixed)
        source = os.environ.get("PYTHONPATH", str(ROOT / "src"))
        environment = {**os.environ, "HOLDFAST_HOME": f"{temporary}/home", "PYTHONPATH": source}
        words = [sys.executable, str(ROOT / "train.py"), f"data={given.format}", f"data.path={path}", *TRAIN]
        for start in ("first start (prepares and trains)", "second start (trains)"):
            seconds, peaks = run([*words, "data.target=target"], environment, temporary)
            print(f"{start}: {seconds:.1f} s", flush=True)
            for process, peak in sorted(peaks.items()):
                worst = max(worst, peak)
                print(f"  {process}: {peak / MIB:,.0f} MiB of anonymous memory (<= {BOUND_MIB:,})", flush=True)
    return int(worst > BOUND_MIB * MIB)


if __name__ == "__main__":
    raise SystemExit(main())
