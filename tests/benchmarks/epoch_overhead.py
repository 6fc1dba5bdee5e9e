"""Costs of a run beside a hand-written PyTorch script: one epoch in turn in one process, and whole processes.

    python tests/benchmarks/epoch_overhead.py                 # epochs: 784-64-128-64-10, batch norm, Adam, batch 128
    python tests/benchmarks/epoch_overhead.py --process       # 3 epochs with validation, as a user would start them
    python tests/benchmarks/epoch_overhead.py --reference     # the hand-written script itself

Both sides train the same network on 50,000 rows in memory, in a new order every epoch. The script standardises all
rows once, as float32, and slices; Holdfast keeps the rows as uint8 and standardises every batch. The pixels are
MNIST's where they lie (`HOLDFAST_TEST_DATA` or ../shared/data), random ones elsewhere. A machine that does other things
makes single numbers useless: the ratio is the median over pairs that run one after the other.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MNIST = Path(os.environ.get("HOLDFAST_TEST_DATA", ROOT.parent / "shared" / "data")) / "mnist"
NUM_ROWS, NUM_TRAIN, BATCH_SIZE, LR = 60_000, 50_000, 128, 1e-3
OVERRIDES = ["model=mlp", "model.hidden=[64,128,64]", "optimizer=adam", "batch_size=128", "trainer=cpu"]


def rows() -> tuple[Any, Any]:
    """(60000, 28, 28, 1) uint8 images and their int64 classes."""
    import numpy as np

    if (MNIST / "train-images-idx3-ubyte.gz").exists():
        x = np.frombuffer(gzip.decompress((MNIST / "train-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
        y = np.frombuffer(gzip.decompress((MNIST / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
        return x.reshape(-1, 28, 28, 1).copy(), y.astype(np.int64)
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (NUM_ROWS, 28, 28, 1), np.uint8), generator.integers(0, 10, NUM_ROWS)


def network() -> Any:
    from torch import nn

    sizes = [784, 64, 128, 64]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


class HandWritten:
    """Batches as one writes them without a framework: slices of shuffled tensors."""

    def __init__(self) -> None:
        import torch

        x, y = rows()
        pixels, self.y = torch.from_numpy(x).float(), torch.from_numpy(y)
        self.x = (pixels - pixels[:NUM_TRAIN].mean()) / pixels[:NUM_TRAIN].std()
        self.model = network()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)
        self.loss = torch.nn.CrossEntropyLoss()

    def epoch(self) -> float:
        """Train on all train rows; gives the seconds that it took."""
        import torch

        started = time.perf_counter()
        self.model.train()
        order = torch.randperm(NUM_TRAIN)
        for start in range(0, NUM_TRAIN, BATCH_SIZE):
            part = order[start : start + BATCH_SIZE]
            self.optimizer.zero_grad()
            loss = self.loss(self.model(self.x[part]), self.y[part])
            loss.backward()
            self.optimizer.step()
        return time.perf_counter() - started

    def validate(self) -> tuple[float, float]:
        """Loss and accuracy on the other rows."""
        import torch

        self.model.eval()
        with torch.no_grad():
            outputs = self.model(self.x[NUM_TRAIN:])
            y = self.y[NUM_TRAIN:]
            return float(self.loss(outputs, y)), float((outputs.argmax(1) == y).float().mean())


def reference() -> None:
    """The whole script: three epochs with validation."""
    script = HandWritten()
    for epoch in range(3):
        seconds = script.epoch()
        print(epoch + 1, *script.validate(), f"{seconds:.2f} s")


def trainer_epochs(num_epochs: int, pause: Any) -> list[float]:
    """Seconds of the training part of each epoch through Holdfast; `pause` is called in front of each."""
    from holdfast.core.run_record import RunRecord
    from holdfast.training import epoch_callback
    from holdfast.training.fit import build, fit
    from holdfast.training.trainer import build_trainer

    seconds: list[float] = []
    plain_start, plain_end = epoch_callback.StepClock.start_epoch, epoch_callback.StepClock.end_training

    def start_epoch(clock: Any) -> None:
        pause()
        plain_start(clock)

    def end_training(clock: Any, device: Any) -> None:
        plain_end(clock, device)
        seconds.append(time.perf_counter() - clock._epoch_started)

    with tempfile.TemporaryDirectory() as folder:
        config, datamodule = composed(num_epochs), data()
        record = RunRecord.create(Path(folder), config={}, monitor=config.monitor, mode=config.mode)
        epoch_callback.StepClock.start_epoch, epoch_callback.StepClock.end_training = start_epoch, end_training
        fit(build(config, datamodule, build_trainer(config, Path(folder))), record)
        record.finish("completed", "done")
    return seconds


def composed(num_epochs: int) -> Any:
    """The config of a run, as the command line would compose it."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    groups = ["+loss=auto", "+schedule=constant", "+early_stopping=none", "+logger=none", "+init=default"]
    options = [f"+{each}" for each in OVERRIDES if each.split("=")[0] in ("model", "optimizer", "trainer")]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose(overrides=[*groups, *options, f"+lr={LR}", "model.hidden=[64,128,64]"])
    OmegaConf.set_struct(config, False)
    values = {"seed": 0, "max_epochs": num_epochs, "batch_size": BATCH_SIZE, "monitor": "val/loss", "mode": "auto"}
    transform = {"_target_": "holdfast.transforms.Standardize"}
    values |= {"deterministic": False, "compile": False, "threads": "auto", "data": {"sampling": None}}
    config.merge_with({**values, "resume": None, "transform": transform})
    return config


def data() -> Any:
    """A data module over the rows, with the batches of the real one."""
    import pytorch_lightning as pl
    import torch

    from holdfast.data.loading.batches import ResidentBatches, RowOrder, hand_over
    from holdfast.data.statistics import train_statistics

    x, y = rows()

    class Data(pl.LightningDataModule):
        task, num_outputs, input_shape, columns, batch_size = "multiclass", 10, (1, 28, 28), (), BATCH_SIZE
        view = {"form": "array", "shape": [28, 28, 1], "dtype": "uint8"}  # noqa: RUF012 - nobody writes into it

        def __init__(self) -> None:
            super().__init__()
            import numpy as np

            self.statistics = train_statistics(x, y, np.arange(NUM_TRAIN), kind="image", num_classes=10)

        def _batches(self, indices: Any, batch_size: int, seed: int | None) -> ResidentBatches:
            order = RowOrder(indices, batch_size=batch_size, seed=seed)
            return ResidentBatches(torch.from_numpy(x), torch.from_numpy(y), order)

        def train_dataloader(self) -> ResidentBatches:
            return self._batches(torch.arange(NUM_TRAIN), BATCH_SIZE, 0)

        def val_dataloader(self) -> ResidentBatches:
            return self._batches(torch.arange(NUM_TRAIN, NUM_ROWS), 4 * BATCH_SIZE, None)

        def first_train_rows(self, count: int) -> torch.Tensor:
            return hand_over(torch.from_numpy(x[:count].copy()))

        def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
            return batch

    return Data()


def compare_epochs(num_epochs: int) -> float:
    """Print and give the median ratio of an epoch's time to that of the hand-written loop in front of it."""
    script, by_hand = HandWritten(), []
    script.epoch()
    ours = trainer_epochs(num_epochs, lambda: by_hand.append(script.epoch()))
    # the first epoch of each side warms up
    ratios = [a / b for a, b in zip(ours[1:], by_hand[1:], strict=True)]
    print("holdfast    ", " ".join(f"{value:.3f}" for value in ours), "s")
    print("hand-written", " ".join(f"{value:.3f}" for value in by_hand), "s")
    print(f"median ratio {statistics.median(ratios):.3f}  (from {min(ratios):.3f} to {max(ratios):.3f})")
    return statistics.median(ratios)


def compare_processes(num_pairs: int) -> float:
    """Print and give the median ratio of whole processes; the data set is prepared beforehand."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOLDFAST_HOME": f"{folder}/home"}
        options = ["data=mnist", f"data.path={MNIST}", "max_epochs=3", f"paths.output={folder}/outputs", *OVERRIDES]
        ours = [sys.executable, str(ROOT / "train.py"), *options]
        by_hand = [sys.executable, __file__, "--reference"]
        timed(ours, environment)
        ratios = []
        for _ in range(num_pairs):
            first, second = timed(ours, environment), timed(by_hand, environment)
            ratios.append(first / second)
            print(f"holdfast {first:.2f} s  hand-written {second:.2f} s  ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")
    return statistics.median(ratios)


def timed(command: list[str], environment: dict[str, str]) -> float:
    """Seconds of a process that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--process", action="store_true", help="compare whole processes")
    parser.add_argument("--reference", action="store_true", help="run the hand-written script alone")
    parser.add_argument("--repeats", type=int, default=8, help="epochs or pairs of processes")
    arguments = parser.parse_args()
    if arguments.reference:
        reference()
    elif arguments.process:
        compare_processes(arguments.repeats)
    else:
        compare_epochs(arguments.repeats + 1)


if __name__ == "__main__":
    main()
