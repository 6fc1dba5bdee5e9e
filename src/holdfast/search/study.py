"""A study: the trials of a sweep, which workers ask for, train and tell the results of.

A trial keeps its number, its values and its folder for life. Whoever holds its lease trains it. Where a lease is over
and the trial has not ended, the next worker that asks takes the trial over and goes on from its checkpoint.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import optuna
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from holdfast.core.errors import RunFailed
from holdfast.core.files import write_atomic
from holdfast.search.leases import Leases
from holdfast.search.record import GRID, SweepRecord, read_sweep
from holdfast.search.samplers import sampler_of
from holdfast.search.storage import lock_of, open_storage

FOLDER = "study"
LEASE_S = 60.0
FAILURES_IN_A_ROW = 5
DIVERGED = "diverged"
# Keys of what Optuna keeps beside a trial.
STATUS, REASON, CAUSE = "status", "reason", "cause"

Status = Literal["running", "completed", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Trial:
    """A trial that this worker trains.

    Attributes:
        number: From 0, in the order in which trials were asked for.
        overrides: Its values, as overrides.
        folder: Of its run, or of its runs where it is repeated.
    """

    number: int
    overrides: list[str]
    folder: Path


@dataclass(frozen=True)
class TrialResult:
    """A trial as everybody sees it.

    Attributes:
        number: From 0.
        status: "interrupted" where it has not ended and nobody trains it.
        value: The monitored value, the mean over its runs; None where it has none.
        reason: Why it failed, was pruned or stopped.
        overrides: Its values; empty where a worker died before they were chosen.
        folder: Of its run or runs.
    """

    number: int
    status: Status
    value: float | None
    reason: str | None
    overrides: list[str]
    folder: Path


class LeaseLost(RunFailed):
    """Another worker has taken a trial over: this one was silent for too long."""


class Study:
    """The trials of one sweep, as one worker sees them."""

    def __init__(self, folder: Path, record: SweepRecord, worker: str, lease_s: float) -> None:
        self.record = record
        self._folder = folder
        own = folder / FOLDER
        own.mkdir(parents=True, exist_ok=True)
        self._lock = lock_of(own)
        with self._lock:
            name = own / "name"
            if not name.exists():
                write_atomic(name, secrets.token_hex(8))  # a database may hold other studies
            self._storage = open_storage(own, record.storage, self._lock)
            directions = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
            self._study = optuna.create_study(
                storage=self._storage,
                sampler=RandomSampler() if record.sampler == GRID else sampler_of(record),
                study_name=name.read_text(),
                direction=directions[record.mode],
                load_if_exists=True,
            )
        self._leases = Leases(own / "leases", worker, lease_s)
        self._asked: dict[int, optuna.Trial] = {}
        self._ended_before = {trial.number for trial in self._frozen() if trial.state.is_finished()}

    @classmethod
    def open(cls, folder: Path, *, worker: str = "", lease_s: float = LEASE_S) -> Study:
        """Open the study of a sweep, or begin it.

        `lease_s` are the seconds after which the trial of a silent worker is taken over.

        Raises:
            InputError: The folder holds no sweep, or the storage cannot be read.
        """
        return cls(folder, read_sweep(folder), worker or secrets.token_hex(8), lease_s)

    def ask(self) -> Trial | None:
        """Give the next trial to this worker: one that a dead worker has left, or a new one.

        Returns:
            None where there is none at the moment. When `is_over`, there will be none.
        """
        with self._lock:
            if self.stop_reason() is not None:
                return None
            trials, held = self._frozen(), self._leases.held()
            for trial in trials:
                if trial.state == TrialState.RUNNING and trial.number not in held:
                    self._leases.take(trial.number)
                    return self._handed_out(optuna.Trial(self._study, trial._trial_id))
            if len(trials) >= self.record.trials:
                return None
            new = self._study.ask()
            self._leases.take(new.number)
            return self._handed_out(new)

    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """Report the monitored value of an epoch.

        Raises:
            LeaseLost: Another worker trains the trial by now.
        """
        self.check_lease(trial)
        self._storage.set_trial_intermediate_value(self._asked[trial.number]._trial_id, epoch, value)

    def check_lease(self, trial: Trial) -> None:
        """Make sure that this worker may go on with a trial.

        Raises:
            LeaseLost: Another worker trains it by now.
        """
        if not self._leases.is_mine(trial.number):
            raise LeaseLost(f"trial {trial.number}", "this worker was silent for too long, and has lost it to another")

    def tell(
        self,
        trial: Trial,
        status: Literal["completed", "pruned", "failed", "interrupted"],
        value: float | None = None,
        reason: str | None = None,
        *,
        has_diverged: bool = False,
    ) -> None:
        """Tell how a trial has ended; an interrupted one is given back, and can go on.

        Args:
            trial: Of `ask`.
            status: Of its run, or of its runs together.
            value: The monitored value.
            reason: Why it failed, was pruned or stopped.
            has_diverged: Whether it failed because of its values, which the sampler then learns to avoid.

        Raises:
            LeaseLost: Another worker trains the trial by now, and will tell of it.
        """
        if status == "interrupted":
            self.give_back(trial)
            return
        with self._lock:
            self.check_lease(trial)
            self._end(self._asked[trial.number]._trial_id, status, value, reason, has_diverged)
            self._leases.release(trial.number)
            del self._asked[trial.number]

    def give_back(self, trial: Trial) -> None:
        """Give a trial back that has not ended: whoever asks next goes on with it."""
        self._leases.release(trial.number)
        self._asked.pop(trial.number, None)

    def end_leases(self, worker: str) -> None:
        """End the leases of a worker that is known to have died, so that others need not wait for that."""
        with self._lock:
            self._leases.end(worker)

    @contextmanager
    def kept_leases(self) -> Iterator[None]:
        """Keep the leases of this worker while the body runs."""
        with self._leases.kept():
            yield

    def is_over(self) -> bool:
        """Tell whether no trial will be handed out any more: all have ended, or the study has stopped."""
        return self.num_left() == 0 or self.stop_reason() is not None

    def num_left(self) -> int:
        """The number of trials that have not ended, those that were not asked for yet included."""
        ended = sum(trial.state.is_finished() for trial in self._frozen())
        return max(0, self.record.trials - ended)

    def stop_reason(self) -> str | None:
        """Give the reason for which no further trial is begun, if there is one.

        Only trials that have ended since this study was opened count, so that a sweep can go on when its user has
        removed the cause. Diverged trials are a result like others, unless there is no other one.
        """
        ended = [t for t in self._frozen() if t.state.is_finished() and t.number not in self._ended_before]
        failed = [trial for trial in ended if _status(trial) == "failed"]
        if failed and self.record.on_failure == "stop":
            return f"trial {failed[0].number} failed: {_attribute(failed[0], REASON)}"
        last = sorted(ended, key=lambda trial: trial.datetime_complete or datetime.min)[-FAILURES_IN_A_ROW:]
        causes = {_attribute(trial, CAUSE) for trial in last}
        if len(last) < FAILURES_IN_A_ROW or len(causes) > 1 or any(_status(trial) != "failed" for trial in last):
            return None
        if causes == {DIVERGED} and len(failed) < len(ended):
            return None
        return f"{FAILURES_IN_A_ROW} trials in a row failed: {_attribute(last[-1], REASON)}"

    def trials(self) -> list[TrialResult]:
        """All trials that were asked for, by number."""
        held = self._leases.held()
        return [self._result(trial, is_held=trial.number in held) for trial in self._frozen()]

    def _frozen(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study._study_id, deepcopy=False)

    def _handed_out(self, trial: optuna.Trial) -> Trial:
        self._asked[trial.number] = trial
        return Trial(trial.number, self._values(trial), self._folder / str(trial.number))

    def _values(self, trial: optuna.Trial | FixedTrial) -> list[str]:
        """The values of a trial, as overrides; a sampler chooses those that the trial does not have yet."""
        if self.record.sampler == GRID:
            return self.record.space.point(trial.number)
        return self.record.space.suggest(trial)  # type: ignore[arg-type]

    def _end(self, trial_id: int, status: str, value: float | None, reason: str | None, has_diverged: bool) -> None:
        # Optuna's samplers pass over failed trials, and take pruned ones for bad ones.
        state = TrialState.FAIL if status == "failed" and not has_diverged else TrialState.PRUNED
        if status == "completed" and value is not None:
            state = TrialState.COMPLETE
        elif status == "completed" or has_diverged:
            self._storage.set_trial_user_attr(trial_id, STATUS, status)
        if reason is not None and status != "completed":
            self._storage.set_trial_user_attr(trial_id, REASON, reason)
        if status == "failed":
            cause = DIVERGED if has_diverged else re.sub(r"\d+", "#", reason or "")
            self._storage.set_trial_user_attr(trial_id, CAUSE, cause)
        values: Sequence[float] | None = None if value is None or state == TrialState.FAIL else [value]
        self._study.sampler.after_trial(self._study, self._storage.get_trial(trial_id), state, values)
        self._storage.set_trial_state_values(trial_id, state, values)

    def _result(self, trial: FrozenTrial, *, is_held: bool) -> TrialResult:
        status: Status = _status(trial) or ("running" if is_held else "interrupted")
        value = trial.value if status in ("completed", "pruned") and trial.values else None
        fixed = FixedTrial(trial.params, number=trial.number)
        try:
            overrides = self._values(fixed)
        except ValueError:  # a worker died before all values were chosen
            overrides = []
        return TrialResult(
            trial.number, status, value, _attribute(trial, REASON), overrides, self._folder / str(trial.number)
        )


def _status(trial: FrozenTrial) -> Status | None:
    """The status of a trial that has ended; None where it has not."""
    if trial.state == TrialState.COMPLETE:
        return "completed"
    if trial.state == TrialState.FAIL:
        return "failed"
    if trial.state == TrialState.PRUNED:
        status: Status = trial.user_attrs.get(STATUS, "pruned")
        return status
    return None


def _attribute(trial: FrozenTrial, name: str) -> str | None:
    value: str | None = trial.user_attrs.get(name)
    return value
