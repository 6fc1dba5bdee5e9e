"""Errors as users see them: where, what, what is allowed, what to do next, and the exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake, told in one line."""

    where: str  # the key, file or argument at fault
    what: str  # what is wrong with it, the bad value included
    allowed: str = ""  # the values that would do; empty when there is nothing to list
    next: str = ""  # what to type or change; empty when it is obvious

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}"]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.next:
            parts.append(f"next: {self.next}")
        return " ".join("; ".join(parts).split())


class HoldfastError(Exception):
    """An error with a message of its own; `exit_code` is what the process ends with."""

    exit_code = 1
    code = "failed"

    def __init__(self, where: str, what: str, allowed: str = "", next: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(where, what, allowed, next),)
        super().__init__(str(self.problems[0]))

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problems)

    def as_dict(self) -> dict[str, object]:
        """The machine-readable form: the first problem, and all of them where there are several."""
        answer: dict[str, object] = {"code": self.code, **asdict(self.problems[0])}
        if len(self.problems) > 1:
            answer["problems"] = [asdict(problem) for problem in self.problems]
        return answer


class InputError(HoldfastError):
    """The input was wrong: a config key, an override, a file, an argument. Nothing was written."""

    exit_code = 2
    code = "input"


class RunFailed(HoldfastError):
    """A run, a check or a job of a sweep failed."""


class Diverged(RunFailed):
    """The loss of a run is no longer finite: its values are to blame, and nothing around it."""

    code = "diverged"


class VaultRefused(HoldfastError):
    """The vault refused: policy, a key, a changed file, a broken ledger."""

    exit_code = 3
    code = "vault"


class VaultLocked(VaultRefused):
    """Test rows were asked for outside the one final evaluation."""

    def __init__(self, where: str = "test rows") -> None:
        super().__init__(
            where,
            "the test rows are sealed in the vault and are not in this process",
            next="choose a run by its val score, then `holdfast freeze RUN` and `holdfast open SELECTION`",
        )


class Interrupted(HoldfastError):
    """A signal asked the run to stop; `exit_code` is 128 + the signal's number (130 or 143)."""

    code = "interrupted"

    def __init__(self, signal_number: int, next: str = "") -> None:
        super().__init__("run", f"interrupted by signal {signal_number}", next=next)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        return Interrupted, (self.signal_number, self.problems[0].next)


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise all `problems` as one `InputError`; do nothing when there are none."""
    if problems:
        raise _rebuild(InputError, tuple(problems))


def error_of_code(code: str, problems: Sequence[Problem]) -> HoldfastError:
    """Make an error again that another process has told by its code and its problems."""
    kinds: dict[str, type[HoldfastError]] = {kind.code: kind for kind in (InputError, Diverged, VaultRefused)}
    return _rebuild(kinds.get(code, RunFailed), tuple(problems))


def require(is_right: bool, where: str, value: object, allowed: str) -> None:
    """Refuse a value that is out of its range; `is_right` is false for every comparison with NaN."""
    if not is_right:
        raise InputError(where, f"is {value}", allowed)


@contextmanager
def blamed(where: str, problem: str, next: str = "") -> Iterator[None]:
    """Refuse with `problem` whatever a user's own code raises in the body; errors of ours are told as they are."""
    try:
        yield
    except HoldfastError:
        raise
    except Exception as error:
        raise InputError(where, f"{problem} ({type(error).__name__}: {error})", next=next) from error


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A half sentence such as "did you mean 'adam'?", or an empty string when nothing is near."""
    near = difflib.get_close_matches(wrong, list(known), cutoff=0.6)
    near.sort(key=lambda word: sorted(word) != sorted(wrong))  # same letters first: 'modle' is 'model', not 'mode'
    return f"did you mean '{near[0]}'?" if near else ""


def _rebuild(kind: type[HoldfastError], problems: tuple[Problem, ...]) -> HoldfastError:
    error = kind.__new__(kind)
    Exception.__init__(error, "\n".join(map(str, problems)))
    error.problems = problems
    return error
