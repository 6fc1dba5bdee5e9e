"""A sweep of 200 trials of a tiny model on digits, against Hydra's BasicLauncher with a plain Lightning script.

    python tests/benchmarks/sweep.py sweep     # seconds of both, and how long workers had nothing to train
    python tests/benchmarks/sweep.py search    # what asking for a trial and telling its result cost, with TPE
    python tests/benchmarks/sweep.py resume    # a study of 10,000 trials that goes on, beyond an empty one
    python tests/benchmarks/sweep.py warm      # a trial in the warm pool, beyond its epochs

`sweep` and `resume` print ratios and differences of runs in turn on the same machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 200
EPOCHS = 3
# What a user would write without Holdfast: the same rows, model, optimizer, metrics and checkpoint.
PLAIN = """
import hydra
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy


class Net(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr = lr
        self.model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
        self.accuracy = MulticlassAccuracy(10)

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def validation_step(self, batch, _):
        scores = self.model(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(scores, batch[1]))
        self.accuracy(scores, batch[1])
        self.log("val_accuracy", self.accuracy)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


@hydra.main(version_base="1.3", config_path=".", config_name="plain")
def main(config):
    pl.seed_everything(config.seed, verbose=False)
    x, y = load_digits(return_X_y=True)
    x = torch.tensor(x / 16, dtype=torch.float32)
    y = torch.tensor(y)
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0)
    folder = hydra.core.hydra_config.HydraConfig.get().runtime.output_dir
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=config.max_epochs, logger=CSVLogger(folder), enable_progress_bar=False,
        enable_model_summary=False, callbacks=[ModelCheckpoint(folder, monitor="val_loss", save_last=True)],
    )
    train = DataLoader(TensorDataset(x_train, y_train), 64, shuffle=True)
    trainer.fit(Net(config.lr), train, DataLoader(TensorDataset(x_val, y_val), 64))
    return trainer.callback_metrics["val_loss"].item()


main()
"""


def run(folder: Path, *words: str) -> float:
    """Seconds of a command."""
    began = time.perf_counter()
    environment = {
        **os.environ,
        "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home")),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    return time.perf_counter() - began


def rates(count: int) -> str:
    return "lr=" + ",".join(f"{10 ** (-4 + 3 * number / count):.5f}" for number in range(count))


def sweep(folder: Path) -> None:
    (folder / "plain.py").write_text(PLAIN)
    (folder / "plain.yaml").write_text(f"lr: 0.01\nseed: 0\nmax_epochs: {EPOCHS}\n")
    train = [str(ROOT / "train.py"), f"max_epochs={EPOCHS}", "model.hidden=[8]"]
    run(folder, *train)  # prepares the rows
    ours = run(folder, *train, "-m", rates(TRIALS), "hydra.launcher.workers=2", "hydra.sweep.dir=ours")
    plain = run(folder, "plain.py", "-m", rates(TRIALS))
    print(
        f"{TRIALS} trials of {EPOCHS} epochs: plain {plain:.1f} s, two workers {ours:.1f} s, {plain / ours:.2f} times"
    )
    records = [json.loads(path.read_bytes()) for path in (folder / "ours").glob("*/run.json")]
    print(f"workers idle: {100 * idle_share(records, 2):.1f} % of the time between the first and the last ask")


def idle_share(records: list[dict[str, object]], workers: int) -> float:
    """The share of their time in which workers had no process that trains, from the first trial to the last one."""
    spans = sorted((seconds_of(record["created"]), seconds_of(record["finished"])) for record in records)
    first, last = spans[0][0], spans[-1][0]
    busy = sum(min(end, last) - start for start, end in spans)
    return 1 - busy / (workers * (last - first))


def seconds_of(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def search(folder: Path) -> None:
    from holdfast.search.study import Study

    for storage in (None, f"sqlite:///{folder}/trials.db"):
        study = Study.open(write_study(folder / ("journal" if storage is None else "sqlite"), TRIALS, storage))
        asks, reports, tells = [], [], []
        for _ in range(TRIALS):
            times = [time.perf_counter()]
            trial = study.ask()
            assert trial is not None
            times.append(time.perf_counter())
            value = sum(len(word) for word in trial.overrides) / 100
            for epoch in range(1, EPOCHS + 1):
                study.report(trial, epoch, value)
            times.append(time.perf_counter())
            study.tell(trial, "completed", value)
            times.append(time.perf_counter())
            for kind, (before, after) in zip((asks, reports, tells), pairwise(times), strict=True):
                kind.append(1000 * (after - before))
        parts = [
            f"{name} {statistics.mean(kind):.1f} ms"
            for name, kind in (("ask", asks), (f"{EPOCHS} reports", reports), ("tell", tells))
        ]
        total = [sum(each) for each in zip(asks, reports, tells, strict=True)]
        last = statistics.mean(total[-20:])
        print(
            f"{'SQLite' if storage else 'journal'}: {statistics.mean(total):.1f} ms a trial, {last:.1f} ms "
            f"of the last 20 ({', '.join(parts)})"
        )


def resume(folder: Path) -> None:
    import optuna

    from holdfast.search.study import Study

    count = 10_000
    full = write_study(folder / "full", count + 1, None)
    empty = write_study(folder / "empty", count + 1, None)
    study = Study.open(full)._study
    study.sampler = optuna.samplers.RandomSampler()
    os.fsync = lambda _: None  # only to make it
    for number in range(count):
        trial = study.ask()
        trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        trial.suggest_float("model.dropout", 0.0, 0.6)
        for epoch in range(1, EPOCHS + 1):
            trial.report(1 / epoch, epoch)
        study.tell(trial, number / count)
    script = "import sys, pathlib; from holdfast.search.study import Study; "
    script += "print(Study.open(pathlib.Path(sys.argv[1])).ask())"
    seconds = {
        name: [run(folder, "-c", script, str(place)) for _ in range(3)]
        for name, place in (("full", full), ("empty", empty))
    }
    more = statistics.median(seconds["full"]) - statistics.median(seconds["empty"])
    print(f"a study of {count} trials opens and hands one out in {more:.2f} s more than an empty one")


def warm(folder: Path) -> None:
    train = [str(ROOT / "train.py"), f"max_epochs={EPOCHS}", "model.hidden=[8]"]
    run(folder, *train)
    run(folder, *train, "-m", rates(20), "hydra.sweep.dir=one")
    records = [json.loads(path.read_bytes()) for path in (folder / "one").glob("*/run.json")]
    records.sort(key=lambda record: str(record["created"]))
    ends = [(seconds_of(record["finished"]), sum(e["seconds"] for e in record["history"])) for record in records]
    beyond = [after - before - trained for (before, _), (after, trained) in pairwise(ends)]
    print(f"a trial takes {statistics.median(beyond):.2f} s beyond its {EPOCHS} epochs (median of {len(beyond)})")


def write_study(folder: Path, trials: int, storage: str | None) -> Path:
    from holdfast.search.record import SweepRecord
    from holdfast.search.space import Dimension, Space

    rate = Dimension("lr", low=1e-5, high=1e-1, is_log=True)
    dropout = Dimension("model.dropout", low=0.0, high=0.6)
    SweepRecord(
        typed=[],
        config_dir=None,
        cwd=str(folder),
        hydra=[],
        overrides=[],
        space=Space((rate, dropout)),
        sampler="TPESampler",
        arguments={},
        seed=0,
        repeats=[[]],
        trials=trials,
        on_failure="continue",
        storage=storage,
        monitor="val/loss",
        mode="min",
        workers=1,
    ).create(folder)
    return folder


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        {"sweep": sweep, "search": search, "resume": resume, "warm": warm}[sys.argv[1]](Path(place))
