"""The common mistakes, in a moment: what is checked before every training."""

from __future__ import annotations

import time

from holdfast.checks.mistakes import mistakes
from holdfast.checks.run import untouched
from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict

LEAST_SECONDS = 0.3
SHARE_OF_RUN = 0.05
MOST_SECONDS = 30.0


def quick(subject: Subject) -> list[Verdict]:
    """The mistakes, within 0.3 seconds or a twentieth of the run."""
    started = time.perf_counter()
    of_run = SHARE_OF_RUN * _seconds_of_run(subject)
    spent = time.perf_counter() - started
    subject.limit(min(max(LEAST_SECONDS, of_run), MOST_SECONDS) - spent)
    return mistakes(subject)


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
