"""Running the checks of an experiment: nothing of it changes by them, and none of them can end it by crashing."""

from __future__ import annotations

import functools
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict, skipped
from holdfast.config.resolve import build_option
from holdfast.core.errors import Interrupted, RunFailed
from holdfast.core.seeding import kept_random_state, seed_everything
from holdfast.experiment.experiment import Experiment
from holdfast.training.devices import set_threads
from holdfast.training.row_guard import guarded

NUM_ROWS = 32
MAX_WORDS = 160


class Check(Protocol):
    """An option of the group `check`."""

    def __call__(self, subject: Subject, **options: Any) -> list[Verdict]:
        """Give the verdict of a check, or those of several."""
        ...


def check(function: Callable[..., Verdict]) -> Check:
    """Make an option of a function that gives a verdict: what it cannot do is a verdict as well."""

    @functools.wraps(function)
    def call(subject: Subject, **options: Any) -> list[Verdict]:
        try:
            with untouched(subject.config.seed):
                return [function(subject, **options)]
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:  # a user's own code may raise anything
            return [skipped(function.__name__, f"could not run ({type(error).__name__}: {error})")]

    return call


@contextmanager
def untouched(seed: int) -> Iterator[None]:
    """Work from a seed, quietly and with gradients; leave the random state of all devices as it was."""
    with_devices = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with kept_random_state(with_devices=with_devices), warnings.catch_warnings(), torch.enable_grad():
        seed_everything(seed)
        warnings.simplefilter("ignore")
        yield


def run_checks(experiment: Experiment) -> list[Verdict]:
    """Run what the group `check` of the config chooses; no verdict where it chooses none.

    Raises:
        InputError: The parts of the experiment do not fit.
    """
    node = experiment.config.check
    if not node:
        return []
    run: Check = build_option(node, "check")
    with subject_of(experiment) as subject:
        return run(subject)


@contextmanager
def subject_of(experiment: Experiment) -> Iterator[Subject]:
    """Build an experiment to be looked at, and compute with the threads of its run meanwhile."""
    threads = torch.get_num_threads()
    subject, built = Subject(experiment), experiment.build()
    try:
        set_threads(experiment.config, subject.multiply_adds, NUM_ROWS)
        with guarded(built.module, built.datamodule, experiment.folder.name, is_check=True):
            yield subject
    finally:
        torch.set_num_threads(threads)


def tell(verdicts: Sequence[Verdict]) -> None:
    """Print what a person should look at, a line a check."""
    for verdict in verdicts:
        if verdict.verdict in ("doubtful", "fail"):
            advice = f"; next: {verdict.next}" if verdict.next else ""
            print(f"check {verdict.name}: {verdict.verdict}: {first_cause(verdict)}{advice}", file=sys.stderr)


def raise_failed(verdicts: Sequence[Verdict]) -> None:
    """Raise the first check that fails.

    Raises:
        RunFailed: One does.
    """
    failed = [verdict for verdict in verdicts if verdict.verdict == "fail"]
    if failed:
        names = ", ".join(verdict.name for verdict in failed)
        problem = f"{len(failed)} of {len(verdicts)} checks failed ({names}): {first_cause(failed[0])}"
        raise RunFailed("check", problem, next=failed[0].next)


def first_cause(verdict: Verdict) -> str:
    """The likeliest cause; of a skipped check the reason."""
    return verdict.causes[0] if verdict.causes else str(verdict.evidence.get("reason", ""))


def print_table(verdicts: Sequence[Verdict]) -> None:
    """Print all verdicts with evidence, causes and what to do next."""
    from rich.markup import escape

    from holdfast.core.terminal import Console, plain_table

    colours = {"pass": "green", "doubtful": "yellow", "fail": "red", "skipped": "dim"}
    table = plain_table("check", "verdict", "what was found", "next")
    for verdict in verdicts:
        lines = [*verdict.causes] or [textwrap.shorten(words_of(verdict.evidence), MAX_WORDS, placeholder=" ...")]
        word = f"[{colours[verdict.verdict]}]{verdict.verdict}[/]"
        table.add_row(verdict.name, word, escape("\n".join(lines)), escape(verdict.next))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def words_of(evidence: Any) -> str:
    """Evidence in one line."""
    if isinstance(evidence, dict):
        return ", ".join(f"{str(name).replace('_', ' ')} {words_of(value)}" for name, value in evidence.items())
    if isinstance(evidence, list | tuple):
        return " ".join(map(words_of, evidence))
    return f"{evidence:.4g}" if isinstance(evidence, float) else str(evidence)
