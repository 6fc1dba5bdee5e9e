"""A sweep of 200 trials of a tiny model on digits, against Hydra's BasicLauncher with a plain Lightning script.

    python tests/benchmarks/sweep.py sweep [TRIALS]   # both in turn, and how long workers had nothing to train
    python tests/benchmarks/sweep.py search           # what asking for a trial and telling its result cost, with TPE
    python tests/benchmarks/sweep.py resume           # a study of 10,000 trials that goes on, beyond an empty one
    python tests/benchmarks/sweep.py warm             # a trial in the warm pool, beyond its epochs
    python tests/benchmarks/sweep.py optuna [SEEDS]   # the best value of hydra/sweeper=bayes and of plain Optuna
    python tests/benchmarks/sweep.py sampler [SEEDS]  # the same on a made-up function, over many seeds

Beside seconds stand seconds of CPU, which say more where other programs run on the machine.
"""

from __future__ import annotations

import json
import os
import resource
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
SEARCHED = 40  # trials of each side in the comparison with Optuna
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


def run(folder: Path, *words: str) -> tuple[float, float]:
    """Seconds of a command, and seconds of CPU of all its processes."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {
        **os.environ,
        "HOLDFAST_HOME": str(folder.with_name(f"{folder.name}-home")),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def rates(count: int) -> str:
    return "lr=" + ",".join(f"{10 ** (-4 + 3 * number / count):.5f}" for number in range(count))


def sweep(folder: Path, trials: int = TRIALS) -> None:
    (folder / "plain.py").write_text(PLAIN)
    (folder / "plain.yaml").write_text(f"lr: 0.01\nseed: 0\nmax_epochs: {EPOCHS}\n")
    train = [str(ROOT / "train.py"), f"max_epochs={EPOCHS}", "model.hidden=[8]"]
    run(folder, *train)  # prepares the rows
    plain, plain_cpu = run(folder, "plain.py", "-m", rates(trials))
    ours, ours_cpu = run(folder, *train, "-m", rates(trials), "hydra.launcher.workers=2", "hydra.sweep.dir=ours")
    print(
        f"{trials} trials of {EPOCHS} epochs: plain {plain:.1f} s, two workers {ours:.1f} s, ratio {plain / ours:.2f}"
    )
    print(f"CPU: plain {plain_cpu:.1f} s, two workers {ours_cpu:.1f} s")
    spans = [span(path) for path in (folder / "ours").glob("*/run.json")]
    print(f"workers idle: {100 * idle_share(spans, 2):.1f} % of the time between the first and the last ask")


def span(path: Path) -> tuple[float, float]:
    """When a process took a run up, and when it wrote the last of its files."""
    record = json.loads(path.read_bytes())
    return seconds_of(record["finished"]) - record["timings"]["total"], path.with_name("report.html").stat().st_mtime


def idle_share(spans: list[tuple[float, float]], workers: int) -> float:
    """The share of their time that workers spent on no run, from when the first run begins until the last one does."""
    spans = sorted(spans)
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
        cpu = time.process_time()
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
        cpu_ms = 1000 * (time.process_time() - cpu) / TRIALS
        parts = [
            f"{name} {statistics.mean(kind):.1f} ms"
            for name, kind in (("ask", asks), (f"{EPOCHS} reports", reports), ("tell", tells))
        ]
        total = [sum(each) for each in zip(asks, reports, tells, strict=True)]
        last = statistics.mean(total[-20:])
        print(
            f"{'SQLite' if storage else 'journal'}: {statistics.mean(total):.1f} ms a trial, {last:.1f} ms "
            f"of the last 20 ({', '.join(parts)}); {cpu_ms:.1f} ms of CPU a trial"
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
    for number, kind in enumerate(("s", "s of CPU")):
        full_s, empty_s = (statistics.median(times[number] for times in seconds[name]) for name in ("full", "empty"))
        print(
            f"a study of {count} trials opens and hands one out in {full_s - empty_s:.2f} {kind} more than an empty one"
        )


def warm(folder: Path) -> None:
    train = [str(ROOT / "train.py"), f"max_epochs={EPOCHS}", "model.hidden=[8]"]
    run(folder, *train)
    _, cpu_of_20 = run(folder, *train, "-m", rates(20), "hydra.sweep.dir=one")
    _, cpu_of_10 = run(folder, *train, "-m", rates(10), "hydra.sweep.dir=ten")
    _, cpu_of_long = run(folder, *train, "-m", rates(20), f"max_epochs={10 * EPOCHS}", "hydra.sweep.dir=long")
    records = [json.loads(path.read_bytes()) for path in (folder / "one").glob("*/run.json")]
    records.sort(key=lambda record: str(record["created"]))
    ends = [(seconds_of(record["finished"]), sum(e["seconds"] for e in record["history"])) for record in records]
    beyond = [after - before - trained for (before, _), (after, trained) in pairwise(ends)]
    print(f"a trial takes {statistics.median(beyond):.2f} s beyond its {EPOCHS} epochs (median of {len(beyond)})")
    of_epochs = (cpu_of_long - cpu_of_20) / 20 / 9  # of EPOCHS epochs
    print(f"and {(cpu_of_20 - cpu_of_10) / 10 - of_epochs:.2f} s of CPU beyond the {of_epochs:.2f} s of its epochs")


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


def optuna(folder: Path, seeds: int = 5) -> None:
    """Compare the best val loss of as many trials of the same model, space and epochs, trained by the same code."""
    import optuna as plain

    import holdfast

    os.environ["HOLDFAST_HOME"] = str(folder.with_name(f"{folder.name}-home"))
    os.chdir(folder)
    plain.logging.set_verbosity(plain.logging.WARNING)
    shared = [f"max_epochs={EPOCHS}", "model.hidden=[8]", "check=none", "logger=none"]
    space = ["lr=tag(log,interval(1e-5,1))", "model.dropout=interval(0,0.6)", "optimizer=adamw,momentum"]
    for seed in range(seeds):

        def objective(trial: plain.Trial, seed: int = seed) -> float:
            words = [
                f"lr={trial.suggest_float('lr', 1e-5, 1, log=True)}",
                f"model.dropout={trial.suggest_float('dropout', 0, 0.6)}",
                f"optimizer={trial.suggest_categorical('optimizer', ['adamw', 'momentum'])}",
            ]
            try:
                value = holdfast.train([*shared, *words, f"hydra.run.dir=plain/{seed}/{trial.number}"]).value
            except holdfast.errors.Diverged:
                raise plain.TrialPruned from None
            assert value is not None
            return value

        study = plain.create_study(sampler=plain.samplers.TPESampler(seed=seed))
        study.optimize(objective, n_trials=SEARCHED)
        words = ["hydra/sweeper=bayes", f"hydra.sweeper.seed={seed}", f"sweep.trials={SEARCHED}"]
        runs = holdfast.sweep([*shared, *space, *words, f"hydra.sweep.dir=ours/{seed}"])
        print(f"seed {seed}: bayes {runs[0].value:.4f}, plain Optuna {study.best_value:.4f}", flush=True)


def sampler(folder: Path, seeds: int = 100) -> None:
    """Compare a sweep's TPE, which has a seed for each trial, with Optuna's on a noisy function that costs nothing."""
    import math

    import numpy as np
    import optuna as plain

    from holdfast.search.samplers import named_sampler

    del folder
    plain.logging.set_verbosity(plain.logging.ERROR)

    def best_value(chosen: plain.samplers.BaseSampler, seed: int) -> float:
        noise = np.random.default_rng(seed)

        def objective(trial: plain.Trial) -> float:
            value = 0.3 * (math.log10(trial.suggest_float("lr", 1e-5, 1, log=True)) + 2.3) ** 2
            value += 0.05 * (math.log10(trial.suggest_float("weight_decay", 1e-6, 0.1, log=True)) + 4) ** 2
            value += 2 * (trial.suggest_float("dropout", 0, 0.6) - 0.2) ** 2
            value += 0.02 * abs(math.log2(trial.suggest_int("batch_size", 16, 512, log=True)) - 6)
            value += 0.05 * (trial.suggest_categorical("optimizer", ["adamw", "momentum"]) == "momentum")
            return value + 0.02 * float(noise.standard_normal())

        study = plain.create_study(sampler=chosen)
        study.optimize(objective, n_trials=SEARCHED)
        return study.best_value

    axes = ["lr", "weight_decay", "dropout", "batch_size", "optimizer"]
    ours = [best_value(named_sampler("TPESampler", {}, seed, axes), seed) for seed in range(seeds)]
    theirs = [best_value(plain.samplers.TPESampler(seed=seed), seed) for seed in range(seeds)]
    differences = np.array(ours) - np.array(theirs)
    half = 1.96 * differences.std(ddof=1) / math.sqrt(seeds)
    print(f"best of {SEARCHED}, mean of {seeds} seeds: bayes {np.mean(ours):.4f}, plain Optuna {np.mean(theirs):.4f}")
    print(f"difference {differences.mean():.4f} +- {half:.4f} (95 %)")


if __name__ == "__main__":
    parts = {"sweep": sweep, "search": search, "resume": resume, "warm": warm, "optuna": optuna, "sampler": sampler}
    with tempfile.TemporaryDirectory() as place:
        parts[sys.argv[1]](Path(place), *map(int, sys.argv[2:]))  # type: ignore[operator]
