"""`sweep.dry_run=true`: the trials that a sweep would train, and how long that would take."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from holdfast.core.errors import HoldfastError
from holdfast.experiment.compose import OptionsLoader
from holdfast.experiment.experiment import Experiment
from holdfast.search.compose import plan_sweep
from holdfast.search.leaderboard import duration
from holdfast.search.record import GRID, SweepRecord
from holdfast.search.samplers import QUASI_RANDOM, sampler_of

MOST_BATCHES = 100  # of the epoch that is trained to see how long one takes


@dataclass(frozen=True)
class Estimate:
    """The time of a run."""

    epoch_s: float  # of an epoch
    start_s: float  # of a run before its first epoch and after its last one


def print_plan(config: DictConfig, loader: OptionsLoader, first_run: DictConfig) -> None:
    """Print the trials of a sweep that was checked, with an estimate of their time.

    A part of the first epoch of `first_run` is trained to estimate the others.
    """
    record = plan_sweep(config, loader)
    assert record is not None
    for number, words in enumerate(_points(record)):
        print(f"trial {number}: {' '.join([*record.overrides, *words])}")
    if record.sampler not in (GRID, QUASI_RANDOM):
        space = ", ".join(f"{dimension.key}={dimension}" for dimension in record.space.dimensions)
        print(f"trials 0 to {record.trials - 1}: chosen by {record.sampler} as the sweep goes, in {space}")
    num_runs = record.trials * len(record.repeats)
    runs = f" of {len(record.repeats)} runs" if len(record.repeats) > 1 else ""
    print(f"{record.trials} trials{runs}, {record.workers} at a time")
    estimate = estimate_run(first_run)
    if estimate is not None:
        seconds = (estimate.start_s + first_run.max_epochs * estimate.epoch_s) * math.ceil(num_runs / record.workers)
        each = f"{estimate.epoch_s:.2g} s an epoch and {estimate.start_s:.2g} s around, as a part of the first run took"
        print(f"about {duration(seconds)} at most: {num_runs} runs of {first_run.max_epochs} epochs, {each}")


def estimate_run(config: DictConfig) -> Estimate | None:
    """Train a part of an epoch of a run in a folder that is thrown away.

    Returns:
        None where nothing is trained, or where it fails.
    """
    if config.ensemble or not str(config.stage._target_).endswith(".fit"):
        return None
    part = copy.deepcopy(config)
    part.max_epochs, part.logger, part.check = 1, {}, {}
    quietly = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder, quietly, contextlib.suppress(HoldfastError):
        rows = Experiment(part, Path(folder)).prepare()
        share = min(1.0, MOST_BATCHES * rows.batch_size / len(rows.train_rows))
        if share < 1:
            part.trainer.limit_train_batches = part.trainer.limit_val_batches = share
        record = Experiment(part, Path(folder) / "run").run().record
        epoch_s = record["history"][0]["seconds"]
        return Estimate(epoch_s / share, record["timings"]["total"] - epoch_s)
    return None


def _points(record: SweepRecord) -> Iterator[list[str]]:
    """The points that are known before the first trial: all but those that a sampler chooses by scores."""
    if record.sampler == GRID:
        yield from record.space.points[: record.trials]
    elif record.sampler == QUASI_RANDOM:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=sampler_of(record))
        for _ in range(record.trials):
            yield record.space.suggest(study.ask())
