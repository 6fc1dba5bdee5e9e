"""The guard of a run that trains: it looks at rows from elsewhere before a model of ours sees them.

The loaders of the data module mark what they hand out (`data.loading.batches.hand_over`): a step over such a batch
costs two look-ups. Everything else that reaches `forward` of a module, its transform, its network or a layer of these,
by a callback, a second Trainer, a loader of a user's own or a call by hand, is digested and shown to a process that
knows the sealed rows (`vault.known_rows_process`); no key is in this one. A sealed row ends the run, also where
somebody swallows the exception. In a check all batches are made by us: the calls of a user's functions are looked at.
Not seen is who multiplies with the weights without calling a layer, takes these wrappers off, or reads rows in the
`forward` of a model of their own, whose layers work within our step.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast.core.child import Child
from holdfast.core.errors import HoldfastError, RunFailed, VaultRefused
from holdfast.data.loading.batches import is_handed_over
from holdfast.data.loading.row_search import FEWEST_NUMBERS, candidates, numbers_in
from holdfast.data.statistics import TrainStatistics

if TYPE_CHECKING:
    from holdfast.data.loading.datamodule import DataModule

STEPS = ("forward", "training_step", "validation_step")


class RowGuard:
    """Looks at rows on behalf of one run."""

    def __init__(
        self, train: TrainStatistics, run: str, sealed: Path | None = None, *, is_in_step: bool = False
    ) -> None:
        self.is_in_step = is_in_step  # whether the module works on a batch that was admitted
        self.refusal: VaultRefused | None = None  # raised once, and again at every later step
        self.num_looks = 0  # how often rows were shown to the process that knows
        self._train = train
        self._run = run
        self._sealed = sealed
        self._environment = dict(os.environ)  # as it is now: user's code may change it
        self._process: Child | None = None

    def __deepcopy__(self, memo: object) -> RowGuard:
        return self

    def admit(self, content: Any) -> None:
        """Refuse sealed rows in what a module is called with: tensors, also nested.

        Raises:
            VaultRefused: There are some in it, or there were before.
            RunFailed: Nobody can say.
        """
        self.refuse_again()
        if is_handed_over(content):
            return
        # Tables of three columns are looked at, too: these are rows, and not some of a million weights.
        fewest = FEWEST_NUMBERS - 1 if self._train.mean.shape == (FEWEST_NUMBERS - 1,) else FEWEST_NUMBERS
        for _, numbers in numbers_in(content, int(np.prod(self._train.mean.shape))):
            for digests in candidates(numbers, self._train, fewest):
                answer = self._ask(digests)
                if answer["rows"]:
                    count, vault = answer["rows"], answer["vault"][:8]
                    problem = f"{count} rows that were handed to the model are sealed in vault {vault}"
                    hint = "validate on the val rows of the data module; the ledger has noted it"
                    self.refusal = VaultRefused("test rows", problem, next=hint)
                    raise self.refusal

    def refuse_again(self) -> None:
        """Raise a refusal that somebody has swallowed."""
        if self.refusal is not None:
            raise self.refusal

    def close(self) -> None:
        """End the process that knows the rows."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _ask(self, digests: NDArray[np.uint8]) -> dict[str, Any]:
        self.num_looks += 1
        if self._process is None:
            module = "holdfast.vault.known_rows_process"
            self._process = Child(module, name="vault", environment=self._environment)
        viewed = None if self._sealed is None else str(self._sealed)
        try:
            return self._process.ask({"run": self._run, "viewed": viewed}, digests)[0]
        except HoldfastError as error:
            problem = f"cannot be told from others: {error}"
            raise RunFailed("test rows", problem, next="holdfast vault verify") from None


_guards: list[RowGuard] = []  # of the run that trains in this process


@contextlib.contextmanager
def guarded(module: nn.Module, data: DataModule, run: str, *, is_check: bool = False) -> Iterator[RowGuard]:
    """Guard a module of ours, which has a `model` and a `transform`, and all layers of its kinds in this process.

    In a check all batches are of ours, whichever way they are made; a user's functions are looked at alone.

    Raises:
        VaultRefused: At the end, where a refusal was swallowed.
    """
    sealed = data.prepared.folder / "sealed.fingerprints"
    guard = RowGuard(data.statistics, run, sealed, is_in_step=is_check)
    _guards.append(guard)
    try:
        with _looked_at(module):
            yield guard
        guard.refuse_again()
    finally:
        _guards.remove(guard)
        guard.close()


@contextlib.contextmanager
def _looked_at(module: nn.Module) -> Iterator[None]:
    """Wrap what is called of the classes of a module and of all layers below, instances made later included."""
    layers = {type(layer) for part in ("model", "transform") for layer in module.get_submodule(part).modules()}
    places = [(type(module), name) for name in STEPS] + [(layer, "forward") for layer in layers]
    replaced = [(kind, name, vars(kind).get(name)) for kind, name in places]
    for kind, name, _ in replaced:
        setattr(kind, name, look_first(getattr(kind, name)))
    try:
        yield
    finally:
        for kind, name, own in replaced:
            if own is None:
                delattr(kind, name)
            else:
                setattr(kind, name, own)


def is_active() -> bool:
    """Tell whether a run trains in this process."""
    return bool(_guards)


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is called within a step, and whose own calls of the modules are looked at all the same."""

    @functools.wraps(function)
    def call(*values: Any) -> Any:
        if torch.compiler.is_compiling() or not _guards:
            return function(*values)
        guard, was_in_step = _guards[-1], _guards[-1].is_in_step
        guard.is_in_step = False
        try:
            return function(*values)
        finally:
            guard.is_in_step = was_in_step

    return call


def look_first(step: Callable[..., Any]) -> Callable[..., Any]:
    """A method, or a function of rows, that admits what it is called with, and lets what it calls work in peace."""

    @functools.wraps(step)
    def call(*values: Any, **options: Any) -> Any:
        if not _guards or _guards[-1].is_in_step or torch.compiler.is_compiling():
            return step(*values, **options)
        guard = _guards[-1]
        content = [value for value in (*values, *options.values()) if not isinstance(value, nn.Module)]
        for value in content:
            guard.admit(value)
        guard.is_in_step = True
        try:
            return step(*values, **options)
        finally:
            guard.is_in_step = False

    return call
