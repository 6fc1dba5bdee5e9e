"""Runs trained together: in stacks where that is possible and faster, in turn where not.

A stack has one checkpoint, beside those of its first run; a run gets its own when it ends. A run that fails or stops
early leaves the stack, and the others go on.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from holdfast.core.errors import HoldfastError, InputError, Interrupted
from holdfast.core.run_record import read_run
from holdfast.core.seeding import kept_random_state
from holdfast.training.checkpoints import FOLDER, STATE, read_checkpoint
from holdfast.training.combinations import cautions
from holdfast.training.devices import precision_of, set_threads
from holdfast.training.fit import SHOWN, settings_kept
from holdfast.training.interrupts import SignalFlag, caught_signals
from holdfast.training.loggers import close_failed
from holdfast.training.progress import epoch_line
from holdfast.training.reporter import Reporter
from holdfast.training.row_guard import guarded
from holdfast.training.stacking.choice import stack_if_faster
from holdfast.training.stacking.grouping import group, why_alone
from holdfast.training.stacking.layers import NotStackable
from holdfast.training.stacking.member import Member, Result_co, Trainable
from holdfast.training.stacking.metrics import Pass
from holdfast.training.stacking.stack import Stack
from holdfast.training.trainer import AtomicCheckpointIO

NAME = "stack.ckpt"
SECONDS_PER_CHECKPOINT = 10.0

Reporters = Sequence[Reporter | None]


def train(experiments: Sequence[Trainable[Result_co]], reporters: Reporters = ()) -> list[Result_co]:
    """Train runs, together where they can be.

    A run that goes on (`config.resume`) does so from its stack's checkpoint.

    Returns:
        The runs in their order; the record of one that failed says why.

    Raises:
        InputError: Parts do not fit each other, the machine or the data.
        Interrupted: A signal came.
    """
    for places in _together(experiments):
        members = [experiments[place] for place in places]
        followed = [reporters[place] if reporters else None for place in places]
        reason = why_alone(members[0].config)
        try:
            if reason is None and (len(members) > 1 or _checkpoint_of(members[0]) is not None):
                _train_stack(members, followed)
                continue
        except NotStackable as error:
            reason = str(error)
        for experiment, reporter in zip(members, followed, strict=True):
            _train_alone(experiment, reporter, reason)
    return [experiment.result() for experiment in experiments]


def _together(experiments: Sequence[Trainable[Any]]) -> list[list[int]]:
    """The groups of the experiments; those that go on from different checkpoints are apart."""
    groups: list[list[int]] = []
    for places in group([experiment.config for experiment in experiments]):
        by_checkpoint: dict[Path | None, list[int]] = {}
        for place in places:
            by_checkpoint.setdefault(_checkpoint_of(experiments[place]), []).append(place)
        groups += by_checkpoint.values()
    return groups


def _checkpoint_of(experiment: Trainable[Any]) -> Path | None:
    """The checkpoint of the stack that an interrupted run was part of, where it has one."""
    if experiment.config.get("resume") is None:
        return None
    relative = (read_run(experiment.folder).get("stack") or {}).get("checkpoint")
    path = Path(os.path.normpath(experiment.folder / relative)) if relative else None
    if path is None or not path.is_file():
        return None
    try:
        members = read_checkpoint(path)["members"]
    except InputError:  # damaged: the members begin anew
        return None
    return path if experiment.folder.name in [member["folder"] for member in members] else None


def _train_alone(experiment: Trainable[Any], reporter: Reporter | None, reason: str | None) -> None:
    if reason is not None:
        experiment.fields["stack"] = {"reason": reason}
    try:
        experiment.run(reporter)
    except Interrupted:
        raise
    except HoldfastError as error:
        print(f"holdfast: {experiment.folder.name}: {error}", file=sys.stderr, flush=True)


def _train_stack(experiments: Sequence[Trainable[Any]], reporters: Reporters) -> None:
    """Train a stack to its end.

    Raises:
        NotStackable: Nothing was written; the runs are trained in turn.
    """
    built = [experiment.build() for experiment in experiments]
    config, datamodule = built[0].config, built[0].datamodule
    with kept_random_state(), settings_kept(config), caught_signals() as signals, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")  # the faster way was taken
        if precision_of(config.trainer) == "64-true":
            for each in built:
                each.module.double()
        path = _checkpoint_of(experiments[0])
        known = read_run(experiments[0].folder).get("threads") if path else None
        threads = known or set_threads(config, len(built) * built[0].module.multiply_adds, datamodule.batch_size)
        torch.set_num_threads(threads)
        with guarded(built[0].module, datamodule, experiments[0].folder.name):
            states: list[Any] = [None] * len(built)
            if path is None:
                path, stack = experiments[0].folder / FOLDER / NAME, stack_if_faster(built)
            else:
                content = read_checkpoint(path)
                states = content["members"]
                order = _order([experiment.folder.name for experiment in experiments], [s["folder"] for s in states])
                experiments, built = [experiments[i] for i in order], [built[i] for i in order]
                reporters = [reporters[i] for i in order]
                stack = Stack(built)
                stack.load(content["stack"])
            training = _Training(stack, path, signals)
            for experiment, reporter, state in zip(experiments, reporters, states, strict=True):
                training.add(experiment, reporter, state)
            training.run()


def _order(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The places of the wanted names.

    Raises:
        NotStackable: There are other ones.
    """
    if sorted(names) != sorted(wanted):
        raise NotStackable("other members go on than were trained together")
    return [list(names).index(name) for name in wanted]


class _Training:
    """The epochs of a stack."""

    def __init__(self, stack: Stack, path: Path, signals: SignalFlag) -> None:
        self.stack, self.path, self.signals = stack, path, signals
        self.members: list[Member] = []
        self._saved = time.monotonic()

    def add(self, experiment: Trainable[Any], reporter: Reporter | None, state: dict[str, Any] | None) -> None:
        """Open the record of the next member."""
        place = len(self.members)
        relative = os.path.relpath(self.path, experiment.folder)
        position = {"size": len(self.stack.members), "position": place, "checkpoint": relative}
        experiment.fields["stack"] = position if state is None else {**state["stack"], "checkpoint": relative}
        member = Member(experiment, self.stack, place, reporter, signals=self.signals, resumed=state)
        self.members.append(member)

    def run(self) -> None:
        """Train until the last member has ended.

        Raises:
            Interrupted: A signal came.
        """
        for caution in cautions(self.stack.members[0].config, self.stack.members[0].datamodule.statistics.num_rows):
            print(f"holdfast: {caution}", file=sys.stderr, flush=True)
        try:
            for member in self.members:
                member.start_epoch()
            while self.members:
                self._epoch()
                self._part_with([member for member in self.members if member.is_over])
        except BaseException as error:
            for member in self.members:
                close_failed(member.callback.loggers)
                member.experiment.end(member.record, error)
            raise

    def _epoch(self) -> None:
        started, epoch = time.perf_counter(), self.members[0].num_epochs
        losses, train = [], Pass(self.stack.members, "train_metrics")
        for batch in self.stack.train_batches(epoch):
            self.signals.check()
            step_losses, outputs = self.stack.step(batch)
            losses.append(step_losses)
            train.add(step_losses, outputs, batch[1])
        train.end()
        self.signals.check()
        self.stack.validate()
        by_member = torch.stack(losses, dim=1)
        for member, own in zip(self.members, by_member, strict=True):
            member.end_epoch(own)
        self.stack.end_epoch([member.value() for member in self.members])
        self._show(time.perf_counter() - started)

    def _part_with(self, leaving: Sequence[Member]) -> None:
        """Let members go whose training is over, and write the checkpoint of the others when it is time.

        A member's files are written before it is missing in the checkpoint, and its record after that: whenever the
        process is killed, each member goes on from one of them.
        """
        for member in leaving:
            member.write_files()
        staying = [member for member in self.members if member not in leaving]
        for member in staying:
            member.start_epoch()
        if leaving and staying:
            self.stack.keep([self.members.index(member) for member in staying])
        self.members = staying
        if not staying:
            self.path.unlink(missing_ok=True)
        elif leaving or time.monotonic() - self._saved >= SECONDS_PER_CHECKPOINT:
            self._save()
        for member in leaving:
            member.end()

    def _save(self) -> None:
        members = [member.state() for member in self.members]
        content = {STATE: {}, "members": members, "stack": self.stack.state()}
        AtomicCheckpointIO().save_checkpoint(content, self.path)
        self._saved = time.monotonic()

    def _show(self, seconds: float) -> None:
        """Print the means over the members that have not failed."""
        entries = [member.callback.history[-1] for member in self.members if member.error is None]
        if not entries:
            return
        names = [name for name in dict.fromkeys((*SHOWN, self.members[0].callback.monitor)) if name in entries[0]]
        means = {name: sum(entry[name] for entry in entries) / len(entries) for name in names}
        last = max(built.config.max_epochs for built in self.stack.members)
        line = epoch_line({"epoch": entries[0]["epoch"], "seconds": seconds, **means}, names, last, is_best=False)
        print(f"{line}  mean of {len(entries)} runs", flush=True)
