"""Val scores of the defaults of lr, batch_size, max_epochs and early_stopping, and of other ones, by kind of data.

    python tests/benchmarks/defaults.py                  # tables, images and arrays; three seeds, each with a val part
    python tests/benchmarks/defaults.py --only wine mixed_classes --mnist DIR

Each score is that of the epoch with the lowest val loss: the accuracy, or R2 of a regression. The table has the mean
over the seeds; behind each mean of an alternative stands how many seeds it wins and loses against the defaults.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets

ALTERNATIVES = {
    "default": [],
    "lr=3e-3": ["lr=3e-3"],
    "batch_size=16": ["batch_size=16"],
    "100 epochs, patience": ["max_epochs=100", "early_stopping=patience"],
    "100 epochs, patience, lr=3e-3": ["max_epochs=100", "early_stopping=patience", "lr=3e-3"],
}
SEEDS = 3


def as_table(loaded: datasets.Bunch) -> pd.DataFrame:
    """A table of scikit-learn's with the column `target`."""
    return loaded.frame


def mixed(rows: int, *, is_regression: bool) -> pd.DataFrame:
    """Eight numbers and three categories, of which two numbers and two categories only matter together."""
    numbers = np.random.default_rng(0)
    frame = pd.DataFrame(numbers.normal(size=(rows, 8)).round(4), columns=[f"n{i}" for i in range(8)])
    for name, size in (("c0", 3), ("c1", 6), ("c2", 12)):
        frame[name] = [f"{name}_{value}" for value in numbers.integers(size, size=rows)]
    sizes = {name: frame[name].str[3:].astype(int) for name in ("c0", "c1")}
    score = frame.n0 + np.sin(2 * frame.n1) + frame.n2 * frame.n3 + (sizes["c0"] - 1) * frame.n4 + sizes["c1"] / 3
    score += numbers.normal(scale=0.5, size=rows)
    edges = np.quantile(score, [0.5, 0.85])
    frame["target"] = score.round(4) if is_regression else [f"class{n}" for n in np.searchsorted(edges, score)]
    return frame


def as_arrays(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Features and targets as the arrays of a file."""
    return {"x": x, "y": y}


def mnist(folder: Path) -> dict[str, np.ndarray]:
    """The first 5,000 train rows of MNIST."""
    with (
        gzip.open(folder / "train-images-idx3-ubyte.gz") as images,
        gzip.open(folder / "train-labels-idx1-ubyte.gz") as labels,
    ):
        x = np.frombuffer(images.read(16 + 5000 * 784), np.uint8, offset=16)
        y = np.frombuffer(labels.read(8 + 5000), np.uint8, offset=8)
    return as_arrays(x.reshape(-1, 28, 28), y.astype(np.int64))


def data_sets(mnist_folder: Path | None) -> dict[str, tuple[str, Callable[[], pd.DataFrame | dict[str, np.ndarray]]]]:
    """Name -> model, and a function that makes the rows."""
    sets: dict[str, tuple[str, Callable[[], pd.DataFrame | dict[str, np.ndarray]]]] = {
        "iris": ("mlp", lambda: as_table(datasets.load_iris(as_frame=True))),
        "wine": ("mlp", lambda: as_table(datasets.load_wine(as_frame=True))),
        "breast_cancer": ("mlp", lambda: as_table(datasets.load_breast_cancer(as_frame=True))),
        "diabetes": ("mlp", lambda: as_table(datasets.load_diabetes(as_frame=True))),
        "mixed_classes": ("tabular_mlp", lambda: mixed(1500, is_regression=False)),
        "mixed_values": ("tabular_mlp", lambda: mixed(1500, is_regression=True)),
        "digits": ("cnn", lambda: as_arrays(*images_of_digits())),
        "hastie_arrays": ("mlp", lambda: as_arrays(*hastie())),
        "friedman_arrays": ("mlp", lambda: as_arrays(*datasets.make_friedman1(3000, 20, noise=1.0, random_state=0))),
    }
    if mnist_folder is not None:
        sets["mnist_5000"] = ("cnn", lambda: mnist(mnist_folder))
    return sets


def images_of_digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits as images of 8 x 8 pixels from 0 to 240."""
    loaded = datasets.load_digits()
    return (loaded.images * 15).astype(np.uint8), loaded.target.astype(np.int64)


def hastie() -> tuple[np.ndarray, np.ndarray]:
    """Ten numbers whose squares decide on one of two classes (Hastie et al., section 10.1)."""
    x, y = datasets.make_hastie_10_2(3000, random_state=0)
    return x, (y > 0).astype(np.int64)


def overrides_of(name: str, folder: Path, rows: pd.DataFrame | dict[str, np.ndarray]) -> list[str]:
    """Write the rows, and say how they are read."""
    if isinstance(rows, pd.DataFrame):
        rows.to_csv(folder / f"{name}.csv", index=False)
        return ["data=csv", f"data.path={folder / name}.csv", "data.target=target"]
    np.savez(folder / f"{name}.npz", **rows)
    return ["data=arrays", f"data.path={folder / name}.npz"]


def measure(words: list[str]) -> list[tuple[float, float]]:
    """The score and the seconds of each seed."""
    import holdfast

    results = []
    for seed in range(SEEDS):
        start = time.perf_counter()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            run = holdfast.train([*words, f"seed={seed}", f"split.val_seed={seed}", "check=none", "logger=none"])
        metrics = run.record["best"]["metrics"]
        results.append((metrics.get("val/accuracy", metrics.get("val/r2")), time.perf_counter() - start))
    return results


def main() -> None:
    """Print a row of a Markdown table for each data set."""
    parser = argparse.ArgumentParser(description="defaults against other ones, by kind of data")
    parser.add_argument("--mnist", type=Path, help="the folder with MNIST's IDX files")
    parser.add_argument("--only", nargs="*", help="names of data sets")
    given = parser.parse_args()
    print("| data set | " + " | ".join(ALTERNATIVES) + " |")
    print("|---|" + "---|" * len(ALTERNATIVES), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HOLDFAST_HOME"] = str(folder / "home")
        (folder / "work").mkdir()
        os.chdir(folder / "work")
        for data_set, (model, make) in data_sets(given.mnist).items():
            if given.only and data_set not in given.only:
                continue
            words = [*overrides_of(data_set, folder, make()), f"model={model}"]
            cells, first = [], []
            for alternative in ALTERNATIVES.values():
                results = measure([*words, *alternative])
                scores, seconds = zip(*results, strict=True)
                first = first or list(scores)
                wins = sum(score > other for score, other in zip(scores, first, strict=True))
                losses = sum(score < other for score, other in zip(scores, first, strict=True))
                against = f" ({wins}:{losses})" if alternative else ""
                cells.append(f"{np.mean(scores):.4f}{against}, {np.mean(seconds):.1f} s")
            print(f"| {data_set} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
