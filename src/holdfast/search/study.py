"""A study: the trials of a sweep, which workers ask for, train and tell the results of.

A trial keeps its number, its values and its folder for life. Whoever holds its lease trains it. Where a lease is over
and the trial has not ended, the next worker that asks takes the trial over and goes on from its checkpoint. A trial
that has failed is tried again when the sweep is resumed, after all others. One that has diverged is not: that is a
result.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import optuna
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from holdfast.core.errors import RunFailed
from holdfast.core.files import write_atomic
from holdfast.search.leases import Leases
from holdfast.search.record import GRID, SweepRecord, not_writable, read_sweep
from holdfast.search.samplers import sampler_of
from holdfast.search.storage import lock_of, open_storage

FOLDER = "study"
LEASE_S = 60.0
FAILURES_IN_A_ROW = 5
DIVERGED = "diverged"
END = "end"  # the key of what Optuna keeps beside a trial

Status = Literal["running", "completed", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class Trial:
    """A trial that this worker trains."""

    number: int  # from 0, in the order in which trials were asked for
    overrides: list[str]  # its values, as overrides
    folder: Path  # of its run, or of its runs where it is repeated


@dataclass(frozen=True)
class TrialResult:
    """A trial as everybody sees it."""

    number: int  # from 0
    status: Status  # "interrupted" where it has not ended and nobody trains it
    value: float | None  # the monitored value, the mean over its runs; None where it has none
    reason: str | None  # why it failed, was pruned or stopped
    overrides: list[str]  # its values; empty where a worker died before they were chosen
    folder: Path  # of its run or runs
    can_be_retried: bool  # whether it has failed, and a resumed sweep tries it again


@dataclass(frozen=True)
class _End:
    """The end of a trial."""

    status: Literal["completed", "pruned", "failed"]  # how it ended
    time: str  # when, ISO 8601
    reason: str | None = None  # why it failed or was pruned
    cause: str | None = None  # the same for all trials that failed of one thing
    command: int = 0  # the number of the command that trained it, as in the sweep's record

    @property
    def can_be_retried(self) -> bool:
        """Tell whether the trial may come to another end when it is tried again."""
        return self.status == "failed" and self.cause != DIVERGED


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
            directions = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
            self._study = optuna.create_study(
                storage=open_storage(own, record.storage, self._lock),
                sampler=sampler_of(record),
                study_name=name.read_text(),
                direction=directions[record.mode],
                load_if_exists=True,
            )
        self._storage = self._study._storage  # of a database Optuna's own copy, which must know every trial
        self._leases = Leases(own / "leases", worker, lease_s)
        self._asked: dict[int, optuna.Trial] = {}

    @classmethod
    def open(cls, folder: Path, *, worker: str = "", lease_s: float = LEASE_S) -> Study:
        """Open the study of a sweep, or begin it.

        `lease_s` are the seconds after which the trial of a silent worker is taken over.

        Raises:
            InputError: The folder holds no sweep or cannot be written, or the storage cannot be read.
        """
        record = read_sweep(folder)
        try:
            return cls(folder, record, worker or secrets.token_hex(8), lease_s)
        except OSError as error:  # to read a study is to take its lock, which is a file
            raise not_writable(folder, error) from None

    def ask(self) -> Trial | None:
        """Give the next trial to this worker: one that a dead worker has left, a new one, or one to be tried again.

        Returns:
            None where there is none at the moment. When `is_over`, there will be none.
        """
        with self._lock:
            if self.stop_reason() is not None:
                return None
            trials, held = self._frozen(), self._leases.held()
            free = [trial for trial in trials if trial.number not in held]
            left = next((trial for trial in free if trial.state == TrialState.RUNNING), None)
            if left is not None:
                return self._hand_out(left._trial_id)
            if len(trials) < self.record.trials:
                return self._hand_out(self._storage.create_new_trial(self._study._study_id))
            failed = [(end.command, trial) for trial in free if (end := _end_of(trial)) and self._is_retried(end)]
            if not failed:
                return None
            _, longest_ago = min(failed, key=lambda entry: (entry[0], entry[1].number))
            self._storage.set_trial_state_values(longest_ago._trial_id, TrialState.RUNNING)
            return self._hand_out(longest_ago._trial_id)

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
            trial_id = self._asked[trial.number]._trial_id
            # First, so that a worker that is killed in between leaves no lease of a trial that has ended.
            self.give_back(trial)
            self._end(trial_id, status, value, reason, has_diverged)

    def give_back(self, trial: Trial) -> None:
        """Give a trial back that has not ended: whoever asks next goes on with it."""
        with self._lock:
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
        """The number of trials that are to be trained: those not asked for yet and those to be tried again included."""
        ends = [end for trial in self._frozen() if (end := _end_of(trial)) and not self._is_retried(end)]
        return max(0, self.record.trials - len(ends))

    def stop_reason(self) -> str | None:
        """Give the reason for which no further trial is begun, if there is one.

        A failure under an earlier command does not count, so that a sweep can go on when its user has removed the
        cause. Diverged trials are a result like others, unless there is no other one.
        """
        ended = [(trial.number, end) for trial in self._frozen() if (end := _end_of(trial)) is not None]
        failed = [(number, end) for number, end in ended if self._has_failed_now(end)]
        if failed and self.record.on_failure == "stop":
            number, end = failed[0]
            return f"trial {number} failed: {end.reason}"
        last = [end for _, end in sorted(ended, key=lambda entry: entry[1].time)[-FAILURES_IN_A_ROW:]]
        causes = {end.cause for end in last}
        if len(last) < FAILURES_IN_A_ROW or len(causes) > 1 or not all(map(self._has_failed_now, last)):
            return None
        if causes == {DIVERGED} and len(failed) < len(ended):
            return None
        return f"{FAILURES_IN_A_ROW} trials in a row failed: {last[-1].reason}"

    def trials(self) -> list[TrialResult]:
        """The trials that were asked for, by number."""
        held = self._leases.held()
        return [self._result(trial, is_held=trial.number in held) for trial in self._frozen()]

    def _frozen(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study._study_id, deepcopy=False)

    def _has_failed_now(self, end: _End) -> bool:
        """Tell whether a trial has failed under the command that goes on."""
        return end.status == "failed" and end.command == self.record.commands

    def _is_retried(self, end: _End) -> bool:
        """Tell whether a trial that has ended before this command is tried again under it."""
        return end.can_be_retried and end.command < self.record.commands

    def _hand_out(self, trial_id: int) -> Trial:
        """Take the lease of a trial and choose its values; `optuna.Study.ask` would take a failed one for a new one."""
        self._leases.take(self._storage.get_trial_number_from_id(trial_id))
        self._study._thread_local.cached_all_trials = None  # the sampler is to know of all trials that have ended
        trial = optuna.Trial(self._study, trial_id)
        self._asked[trial.number] = trial
        return Trial(trial.number, self._values(trial), self._folder / str(trial.number))

    def _values(self, trial: optuna.Trial | FixedTrial) -> list[str]:
        """The values of a trial, as overrides; a sampler chooses those that the trial does not have yet."""
        if self.record.sampler == GRID:
            return self.record.space.point(trial.number)
        return self.record.space.suggest(trial)  # type: ignore[arg-type]

    def _end(self, trial_id: int, status: str, value: float | None, reason: str | None, has_diverged: bool) -> None:
        state, values = TrialState.PRUNED, None if value is None else [value]
        if status == "completed" and value is not None:
            state = TrialState.COMPLETE
        else:
            cause = DIVERGED if has_diverged else re.sub(r"\d+", "#", reason or "")
            end = _End(status, datetime.now().isoformat(), reason, cause, self.record.commands)  # type: ignore[arg-type]
            self._storage.set_trial_user_attr(trial_id, END, asdict(end))
            if end.can_be_retried:  # Optuna's samplers pass over waiting trials, and take pruned ones for bad ones
                self._storage.set_trial_state_values(trial_id, TrialState.WAITING)
                return
        self._study.sampler.after_trial(self._study, self._storage.get_trial(trial_id), state, values)
        self._storage.set_trial_state_values(trial_id, state, values)

    def _result(self, trial: FrozenTrial, *, is_held: bool) -> TrialResult:
        end = _end_of(trial)
        status: Status = "running" if is_held else "interrupted"
        if end is not None:
            status = end.status
        fixed = FixedTrial(trial.params, number=trial.number)
        try:
            overrides = self._values(fixed)
        except ValueError:  # a worker died before all values were chosen
            overrides = []
        return TrialResult(
            number=trial.number,
            status=status,
            value=trial.value if status in ("completed", "pruned") and trial.values else None,
            reason=end.reason if end is not None else None,
            overrides=overrides,
            folder=self._folder / str(trial.number),
            can_be_retried=end is not None and end.can_be_retried,
        )


def _end_of(trial: FrozenTrial) -> _End | None:
    """The end of a trial; None where it has not ended, or is being tried again."""
    if trial.state == TrialState.RUNNING:
        return None
    if trial.state == TrialState.COMPLETE:
        assert trial.datetime_complete is not None
        return _End("completed", trial.datetime_complete.isoformat())
    return _End(**trial.user_attrs[END])
