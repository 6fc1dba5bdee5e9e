"""The faster way to train members: some steps of both are timed on the first batches.

Where all at once are faster, the gradients of the first step are compared with those of members alone: a network whose
rows or draws do not come out as in a single run is not stacked.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch

from holdfast.core.seeding import kept_random_state, restore_random_states
from holdfast.data.loading.batches import Batch
from holdfast.training.fit import Built
from holdfast.training.module import SupervisedModule
from holdfast.training.stacking.grouping import alike
from holdfast.training.stacking.layout import NotStackable
from holdfast.training.stacking.stack import Stack

NUM_TIMED = 20  # steps of the stack, and of each of two members alone
NUM_ALONE = 2
NUM_BATCHES = 5  # that these steps take turns with
SHARE_TIMED = 0.02  # of the training of all members in turn: what timing may take before it ends
SECONDS_TIMED = 0.2  # which it may take in any case: a first step that makes room may be many times as slow
TOLERANCE, TOLERANCE_IN_DOUBLE = 1e-4, 1e-9  # of gradients: the norm of the difference over that of the gradient
MOST_BY_TIES = 0.1  # likewise, in single precision
NEGLIGIBLE = 1e-5  # a gradient below this share of the largest is zero but for rounding: a bias before batch norm

Step = Callable[[Batch], object]


def stack_if_faster(members: Sequence[Built]) -> Stack:
    """Stack what was built, where a step of all at once takes less time than one of each in turn.

    Raises:
        NotStackable: Nothing is gained, or the networks cannot be computed at once; with the reason.
    """
    ranges = alike([built.config for built in members])
    with kept_random_state(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a map that goes over the members one by one
        try:
            _time(Stack(members, ranges))
            _check_gradients(Stack(members, ranges))
        except NotStackable:
            raise
        except Exception as error:  # what a map cannot do, and a user's own code, raise anything
            line = (str(error).splitlines() or [""])[0]
            raise NotStackable(f"the members cannot be computed at once ({type(error).__name__}: {line})") from None
    return Stack(members, ranges)


def _time(stack: Stack) -> None:
    """Time steps of a stack, and of some members alone.

    Raises:
        NotStackable: A step of all at once takes longer than one of each in turn.
    """
    members = stack.members
    together = stack.step, list(itertools.islice(stack.train_batches(0), NUM_BATCHES))
    num_steps = sum(each.config.max_epochs * len(each.datamodule.train_dataloader()) for each in members)
    ways = [together, *map(_alone, members[:NUM_ALONE])]
    seconds, *single = _least_seconds(ways, most=SHARE_TIMED * num_steps)
    in_turn = sum(single) / len(single) * len(members)
    if seconds > in_turn:
        times = f"{1e3 * seconds:.2f} ms a step for {len(members)} members at once, {1e3 * in_turn:.2f} ms in turn"
        raise NotStackable(f"it would be slower: {times}")


def _check_gradients(stack: Stack) -> None:
    """Compare the gradients of the first step with those of the first and of the last member alone.

    Single precision may differ by more than rounding: where a max-pool sees equal pixels, as on an even background,
    rounding decides which one has the gradient, and a single run of MNIST differs from itself in double precision by
    one percent. Such a stack is judged in double precision.

    Raises:
        NotStackable: They differ.
    """
    ends = sorted({0, len(stack.members) - 1})
    name, difference = _largest_difference(stack, ends)
    is_single = next(stack.members[0].module.model.parameters()).dtype is torch.float32
    tolerance = TOLERANCE if is_single else TOLERANCE_IN_DOUBLE
    if is_single and tolerance < difference <= MOST_BY_TIES:
        tolerance = TOLERANCE_IN_DOUBLE
        doubles = [replace(stack.members[end], module=_copy(stack.members[end]).double()) for end in ends]
        twin = Stack(doubles)
        name, difference = _largest_difference(twin, range(len(doubles)))
    if not difference <= tolerance:
        problem = f"the gradient of {name} differs from that of a single run by {difference:.1e} of its norm"
        raise NotStackable(problem)


def _largest_difference(stack: Stack, places: Iterable[int]) -> tuple[str, float]:
    """The parameter whose gradient differs most from that of a member alone, and the difference over its norm."""
    stack.backward(stack.forward(next(iter(stack.train_batches(0))))[0])
    differences: dict[str, float] = {}
    for place in places:
        built = stack.members[place]
        module = _copy(built)
        restore_random_states(built.random)
        module.training_step(_first_batches(built)[0], 0).backward()  # type: ignore[no-untyped-call]
        single = {name: each.grad for name, each in module.model.named_parameters() if each.grad is not None}
        stack.clip([gradient[None] for gradient in single.values()])
        largest = max(float(gradient.norm()) for gradient in single.values())
        for name, gradient in single.items():
            own, size = stack.weights.tensors[name].grad, float(gradient.norm())
            if size > NEGLIGIBLE * largest:
                difference = math.inf if own is None else float((own[place] - gradient).norm()) / size
                differences[name] = max(differences.get(name, 0.0), math.inf if math.isnan(difference) else difference)
    name = max(differences, key=lambda each: differences[each])
    return name, differences[name]


def _alone(built: Built) -> tuple[Step, list[Batch]]:
    """A step of a member alone, and batches for it."""
    module = _copy(built)
    optimizer = module.make_optimizer(module.model)

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step, _first_batches(built)


def _copy(built: Built) -> SupervisedModule:
    return copy.deepcopy(built.module).train()


def _first_batches(built: Built) -> list[Batch]:
    loader = built.datamodule.train_dataloader()
    loader.sampler.set_epoch(0)
    return list(itertools.islice(loader, NUM_BATCHES))


def _least_seconds(ways: Sequence[tuple[Step, Sequence[Batch]]], *, most: float) -> list[float]:
    """The least seconds of a step of each way, the first of which is all members at once.

    The ways take turns, so that what else runs on the machine slows all of them. The first step, which makes room in
    memory, counts where it is the only one. Timing ends when it has taken as long as `most` steps of a member alone.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    for place in range(NUM_TIMED):
        for (step, batches), of_way in zip(ways, seconds, strict=True):
            started = time.perf_counter()
            step(batches[place % len(batches)])
            of_way.append(time.perf_counter() - started)
        if sum(map(sum, seconds)) > max(SECONDS_TIMED, most * min(map(min, seconds[1:]))):
            break
    return [min(of_way[1:] or of_way) for of_way in seconds]
