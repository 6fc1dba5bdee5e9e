"""Time of a second view of a table, as a share of the first: another column is dropped.

    python tests/benchmarks/second_view.py                   # 1 million rows of 20 columns, CSV
    python tests/benchmarks/second_view.py --rows 100000 --format parquet

Each preparation is a process of its own that starts with `holdfast.data.store.worker`, as for a user. The pairs are
taken in one run, each under a HOLDFAST_HOME of its own; the figure is the median of their ratios, at most one half.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from large_table import write

BOUND = 0.5


def prepared_in(path: Path, **settings: object) -> float:
    """Seconds until the rows of a view are there."""
    from holdfast.data.store.store import prepare

    source = {
        "_target_": "holdfast.data.sources.table.load",
        "path": str(path),
        "format": path.suffix[1:],
        "settings": {"target": "target", **settings},
    }
    start = time.perf_counter()
    prepare({"name": "benchmark", "source": source}, {"_target_": "holdfast.data.splits.Auto"}, {})
    return time.perf_counter() - start


def main() -> int:
    """Print the ratios; the exit code is 1 when their median is too large."""
    parser = argparse.ArgumentParser(description="how long a second view takes")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"table.{given.format}")
        write(path, given.rows, is_mixed=True)
        for pair in range(given.pairs):
            os.environ["HOLDFAST_HOME"] = str(Path(folder, f"home{pair}"))
            first, second = prepared_in(path), prepared_in(path, drop=["x03"])
            ratios.append(second / first)
            print(f"first view {first:.2f} s, second {second:.2f} s, ratio {ratios[-1]:.2f}", flush=True)
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f} (<= {BOUND})")
    return int(median > BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
