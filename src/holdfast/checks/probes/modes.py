"""Train and eval mode: a model must be in the one that it is asked to be in, and must not draw in eval mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.subject import Subject, outputs_of, plain_number, seeded_outputs
from holdfast.core.seeding import seed_everything

NUM_ROWS = 16
MOSTLY = 0.9
LARGE_MOMENTUM = 0.5
Dropout = nn.modules.dropout._DropoutNd
BatchNorm = nn.modules.batchnorm._NormBase


@torch.no_grad()
def mode_mistakes(subject: Subject) -> Iterator[Finding]:
    """Models that are stuck in a mode or change it by themselves, are random in eval mode, or keep no statistics."""
    module, inputs, _ = subject.start(NUM_ROWS)
    model = module.model.eval()
    stuck = _in_train_mode(model)
    if stuck:
        yield finding("stuck_in_train_mode", {"parts": len(stuck)}, part=stuck[0])
    weights = {name: parameter.clone() for name, parameter in model.named_parameters()}
    outputs_of(module, inputs)
    later, missing = dict(model.named_parameters()), torch.empty(0)
    if changed := [name for name, weight in weights.items() if not torch.equal(later.get(name, missing), weight)]:
        yield finding("weights_change_in_forward", weight=changed[0])
        return
    if not stuck and (changed := _in_train_mode(model)):
        yield finding("forward_changes_mode", part=changed[0], mode="train mode: validation and prediction run in it")
    model.train()
    if held := _in_eval_mode(model):
        yield finding("stuck_in_eval_mode", {"parts": len(held)}, part=held[0])
    else:
        before = {name: b.clone() for name, b in model.named_buffers() if b.is_floating_point() and b.numel() > 1}
        outputs_of(module, inputs)
        if changed := _in_eval_mode(model):
            mode = "eval mode: dropout and batch norm do not train"
            yield finding("forward_changes_mode", part=changed[0], mode=mode)
        else:
            yield from _settings(module, inputs, before)
    if not stuck:
        yield from _drawing(subject)


def _in_train_mode(model: nn.Module) -> list[str]:
    return [name or "the model" for name, part in model.named_modules() if part.training]


def _in_eval_mode(model: nn.Module) -> list[str]:
    """The model itself, or parts to which the mode matters and which are not kept still on purpose."""
    if not model.training:
        return ["the model"]
    return [name for name, part in model.named_modules() if not part.training and _shows_in_training(part)]


def _shows_in_training(part: nn.Module) -> bool:
    if isinstance(part, Dropout):
        return part.p > 0
    return isinstance(part, BatchNorm) and any(parameter.requires_grad for parameter in part.parameters())


def _settings(module: Any, inputs: Tensor, before: dict[str, Tensor]) -> Iterator[Finding]:
    """Statistics that never move, and numbers of dropout and batch norm that are the opposite of what is meant."""
    model = module.model
    moved = {name.rpartition(".")[0] for name, old in before.items() if not torch.equal(model.get_buffer(name), old)}
    still = [name for name, old in before.items() if name.rpartition(".")[0] not in moved and not old.std()]
    if held := [name for name in still if _is_for_eval_mode(module, inputs, name)]:
        yield finding("statistics_never_move", statistics=held[0])
    norms = {n: part.momentum for n, part in model.named_modules() if isinstance(part, BatchNorm) and part.training}
    if fast := [name for name, momentum in norms.items() if (momentum or 0.0) > LARGE_MOMENTUM]:
        yield finding("statistics_move_fast", {"momentum": norms[fast[0]]}, part=fast[0])
    for name, part in model.named_modules():
        if isinstance(part, Dropout) and part.p >= MOSTLY:
            yield finding("dropout_of_nearly_all", {"p": part.p}, part=name)
            return


def _is_for_eval_mode(module: Any, inputs: Tensor, name: str) -> bool:
    """Tell whether a buffer moves outputs in eval mode, and none in train mode."""
    buffer, moves = module.model.get_buffer(name), list[bool]()
    original = buffer.clone()
    for is_training in (True, False):
        module.model.train(is_training)
        outputs = seeded_outputs(module, inputs)
        buffer.add_(1.0)
        moves.append(_differs(outputs, seeded_outputs(module, inputs)))
        buffer.copy_(original)
    module.model.train()
    return moves == [False, True]


def _drawing(subject: Subject) -> Iterator[Finding]:
    module, inputs, _ = subject.start(NUM_ROWS)
    module.eval()
    seed_everything(1)
    first, other = seeded_outputs(module, inputs, 1), seeded_outputs(module, inputs, 2)
    seed_everything(1)
    again = seeded_outputs(module, inputs, 1)
    if _differs(first, again):
        yield finding("state_kept", {"largest_difference_of_two_passes": plain_number((first - again).abs().max())})
    elif _differs(first, other) and len(first) > 2 and not _differs(first.sort(dim=0)[0], other.sort(dim=0)[0]):
        yield finding("rows_shuffled")
    elif _differs(first, other):
        has_dropout = any(isinstance(part, Dropout) for part in module.model.modules())
        dropout = "a dropout" if has_dropout else "a functional dropout without training=self.training"
        numbers = {"largest_difference_of_two_passes": plain_number((first - other).abs().max())}
        yield finding("random_in_eval_mode", numbers, dropout=dropout)
    yield from _dropped_outputs(module, inputs, first)
    buffers = {name: value.clone() for name, value in module.model.named_buffers()}
    outputs_of(module, inputs)
    moved = [name for name, value in module.model.named_buffers() if not torch.equal(value, buffers[name])]
    if moved:
        yield finding("buffers_change_in_eval_mode", buffer=moved[0])


def _dropped_outputs(module: Any, inputs: Tensor, outputs: Tensor) -> Iterator[Finding]:
    """Outputs that are exactly 0 in train mode, now these, now those, and never in eval mode."""
    module.train()
    are_zero = seeded_outputs(module, inputs, 1) == 0, seeded_outputs(module, inputs, 2) == 0
    if bool((outputs != 0).all()) and not torch.equal(*are_zero):
        share = float(are_zero[0].float().mean())
        yield finding("outputs_dropped", {"share_of_outputs": plain_number(share)})
    module.eval()


def _differs(first: Tensor, other: Tensor) -> bool:
    return float((first - other).abs().max()) > 1e-6 * max(1.0, float(first.abs().max()))
