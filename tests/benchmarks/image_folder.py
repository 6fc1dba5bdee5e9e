"""CIFAR-10 from its 60,000 JPEG files: how fast they are prepared, and how soon a second start has its rows.

    python tests/benchmarks/image_folder.py --tar cifar10-jpg.tar

Preparing is everything: decoding by several processes, digests, sealing, and writing the store. Times are those of
`data.store.store.prepare` in a process that has done its imports; the first one starts the process that prepares,
imports included.
"""

from __future__ import annotations

import argparse
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAR = Path(os.environ.get("HOLDFAST_TEST_DATA", ROOT.parent / "shared" / "data")) / "cifar10-jpg.tar"
LEAST_FILES_PER_S, MOST_SECOND_START_S = 5_000, 1.0


def main() -> int:
    """Print both figures beside their bounds; the exit code is 1 when one is missed."""
    parser = argparse.ArgumentParser(description="CIFAR-10 from its JPEG files")
    parser.add_argument("--tar", type=Path, default=TAR, help="CIFAR-10 as JPEG files")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    from holdfast.data.store.store import prepare

    with tempfile.TemporaryDirectory() as temporary:
        with tarfile.open(given.tar) as archive:
            archive.extractall(temporary, filter="data")
        os.environ["HOLDFAST_HOME"] = f"{temporary}/home"
        target = "holdfast.data.sources.image_folder.load"
        data = {"name": "cifar10", "source": {"_target_": target, "path": f"{temporary}/cifar10"}}
        split = {"_target_": "holdfast.data.splits.Predefined"}
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            prepared = prepare(data, split, {"policy": "once"})
            seconds.append(time.perf_counter() - start)
        num_files = len(prepared.x) + prepared.num_test
    speed = num_files / seconds[0]
    for is_kept, claim in (
        (speed >= LEAST_FILES_PER_S, f"{num_files:,} files prepared: {speed:,.0f} a second (>= {LEAST_FILES_PER_S:,})"),
        (seconds[1] <= MOST_SECOND_START_S, f"second start: {seconds[1]:.2f} s (<= {MOST_SECOND_START_S})"),
    ):
        print(f"{'kept' if is_kept else 'MISSED':9} {claim}")
    return int(speed < LEAST_FILES_PER_S or seconds[1] > MOST_SECOND_START_S)


if __name__ == "__main__":
    raise SystemExit(main())
