"""Val scores of members that are trained together, beside those of the same members alone: paired by the seed.

    python tests/benchmarks/stacked_and_alone.py mlp      # also: cnn (batch norm and dropout), table (regression)

The last digits of sums differ, and training makes more of that: single scores differ, and their means must not. Printed
is the mean difference with its 95 % interval (Student's t), and how many of the members have the same score.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

COMMON = ["trainer=cpu", "check=none", "logger=none", "threads=1", "batch_size=64"]
CASES = {
    "mlp": ("val/accuracy", ["data=digits", "model=mlp", "model.norm=none", "max_epochs=10"]),
    "cnn": ("val/accuracy", ["data=digits", "model=cnn", "model.dropout=0.3", "max_epochs=5"]),
    "table": ("val/r2", ["data=diabetes", "model=mlp", "max_epochs=20", "lr=0.01"]),
}


def scores(folder: Path, words: list[str], metric: str, count: int, *, is_stacked: bool) -> list[float]:
    """The metric of the last epoch of each member."""
    from holdfast.experiment.experiment import Experiment
    from holdfast.training.stacking import train

    experiments = [
        Experiment.compose([*COMMON, *words, f"seed={seed}", f"hydra.run.dir={folder / str(seed)}"])
        for seed in range(count)
    ]
    runs: list[Any] = train(experiments) if is_stacked else [experiment.run() for experiment in experiments]
    if is_stacked and any("position" not in run.record["stack"] for run in runs):
        raise SystemExit(f"not stacked: {runs[0].record['stack']['reason']}")
    return [run.record["history"][-1][metric] for run in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--seeds", type=int, default=30)
    arguments = parser.parse_args()
    metric, words = CASES[arguments.case]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOLDFAST_HOME"] = str(Path(folder, "home"))
        Path(folder, "work").mkdir()
        os.chdir(Path(folder, "work"))
        together = scores(Path("together"), words, metric, arguments.seeds, is_stacked=True)
        alone = scores(Path("alone"), words, metric, arguments.seeds, is_stacked=False)
        os.chdir("/")
    from scipy import stats

    differences = [stacked - single for stacked, single in zip(together, alone, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    mean, same = statistics.mean(differences), sum(difference == 0.0 for difference in differences)
    print(f"{arguments.case}: {metric} alone {statistics.mean(alone):.4f}, together {statistics.mean(together):.4f}")
    print(f"mean difference {mean:+.5f}, 95 % interval {mean - half:+.5f} to {mean + half:+.5f}; {same} are the same")


if __name__ == "__main__":
    main()
