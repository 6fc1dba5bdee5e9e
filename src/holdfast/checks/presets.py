"""Several checks at once: those that take a moment, and all."""

from __future__ import annotations

import time

from holdfast.checks.baseline import baseline
from holdfast.checks.chance_loss import chance_loss
from holdfast.checks.gradient import gradient
from holdfast.checks.lr_range import lr_range
from holdfast.checks.mistakes import mistakes
from holdfast.checks.overfit_tiny import overfit_tiny
from holdfast.checks.regularization_loss import regularization_loss
from holdfast.checks.run import Check, untouched
from holdfast.checks.subject import Subject
from holdfast.checks.timing import timing
from holdfast.checks.verdict import Verdict

LEAST_SECONDS = 0.3
SHARE_OF_RUN = 0.05
MOST_SECONDS = 30.0
ALL: tuple[Check, ...] = (
    mistakes,
    gradient,
    chance_loss,
    regularization_loss,
    overfit_tiny,
    lr_range,
    timing,
    baseline,
)


def quick(subject: Subject) -> list[Verdict]:
    """The mistakes, within 0.3 seconds or a twentieth of the run."""
    started = time.perf_counter()
    of_run = SHARE_OF_RUN * _seconds_of_run(subject)
    spent = time.perf_counter() - started
    subject.limit(min(max(LEAST_SECONDS, of_run), MOST_SECONDS) - spent)
    return mistakes(subject)


def all(subject: Subject) -> list[Verdict]:
    """Every check; a minute for a small network."""
    return [verdict for check in ALL for verdict in check(subject)]


def _seconds_of_run(subject: Subject) -> float:
    """A low estimate: one step of the run, times all of its steps; 0 where a step fails."""
    config, num_train = subject.config, len(subject.datamodule.train_rows)
    size = subject.datamodule.batch_size
    try:
        with untouched(config.seed):
            module = subject.module()
            batch = subject.rows(min(size, 32))
            started = time.perf_counter()
            module.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
            seconds = time.perf_counter() - started
    except Exception:  # the mistakes tell of it
        return 0.0
    return float(config.max_epochs * max(1, num_train // size) * seconds)
