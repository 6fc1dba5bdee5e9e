"""Train and eval mode: a model must be in the one that it is asked to be in, and must not draw in eval mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checks.probes.finding import Finding
from holdfast.checks.subject import Subject, outputs_of, seeded_outputs
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
        cause = f"the model is stuck in train mode: after eval() {stuck[0]} still trains (train or eval is overridden)"
        yield Finding("stuck_in_train_mode", "fail", cause, "let train(mode) hand the mode on", {"parts": len(stuck)})
    weights = {name: parameter.clone() for name, parameter in model.named_parameters()}
    outputs_of(module, inputs)
    later = dict(model.named_parameters())
    if changed := [name for name, weight in weights.items() if not torch.equal(later.get(name, weight[:0]), weight)]:
        cause = f"the forward pass changes {changed[0]}: it is made anew or set again, and what is learnt is lost"
        yield Finding("weights_change_in_forward", "fail", cause, "make and set weights in __init__ alone")
        return
    if not stuck and (changed := _in_train_mode(model)):
        cause = f"the forward pass switches {changed[0]} to train mode: validation and prediction run in it"
        yield Finding("forward_changes_mode", "fail", cause, "leave train() and eval() out of forward")
    model.train()
    if held := _in_eval_mode(model):
        cause = f"the model is stuck in eval mode: after train() {held[0]} is still in it (train is overridden)"
        yield Finding("stuck_in_eval_mode", "fail", cause, "let train(mode) hand the mode on", {"parts": len(held)})
    else:
        before = _statistics(model)
        outputs_of(module, inputs)
        if changed := _in_eval_mode(model):
            cause = f"the forward pass switches {changed[0]} to eval mode: dropout and batch norm do not train"
            yield Finding("forward_changes_mode", "fail", cause, "leave train() and eval() out of forward")
        else:
            yield from _settings(model, before)
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


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    """The means that the norms in train mode keep for eval mode."""
    norms = {name: part for name, part in model.named_modules() if isinstance(part, BatchNorm) and part.training}
    return {name: part.running_mean.clone() for name, part in norms.items() if part.running_mean is not None}


def _settings(model: nn.Module, before: dict[str, Tensor]) -> Iterator[Finding]:
    """Numbers of dropout and batch norm that are the opposite of what is meant, as other libraries have them."""
    after = _statistics(model)
    still = [name for name, mean in before.items() if torch.equal(after[name], mean) and mean.eq(0).all()]
    if still:
        cause = f"the statistics of {still[0]} never move: in eval mode it normalises with those of its start"
        yield Finding("statistics_never_move", "doubtful", cause, "momentum=0.1, the share of the new batch")
    large = {name: getattr(model.get_submodule(name), "momentum", None) or 0.0 for name in before}
    if fast := [name for name, momentum in large.items() if momentum > LARGE_MOMENTUM]:
        cause = f"the statistics of {fast[0]} are those of the last batches: momentum is the share of the new batch"
        yield Finding("statistics_move_fast", "doubtful", cause, "momentum=0.1", {"momentum": large[fast[0]]})
    for name, part in model.named_modules():
        if isinstance(part, Dropout) and part.p >= MOSTLY:
            cause = f"{name} drops {100 * part.p:.0f} % of its inputs: p is the share that is dropped, not kept"
            yield Finding("dropout_of_nearly_all", "doubtful", cause, "p=0.1 to 0.5", {"p": part.p})
            return


def _drawing(subject: Subject) -> Iterator[Finding]:
    module, inputs, _ = subject.start(NUM_ROWS)
    module.eval()
    seed_everything(1)
    first, other = seeded_outputs(module, inputs, 1), seeded_outputs(module, inputs, 2)
    seed_everything(1)
    again = seeded_outputs(module, inputs, 1)
    difference = float((first - other).abs().max())
    if _differs(first, again):
        cause = "the outputs depend on earlier calls: the model keeps a state from one batch to the next"
        numbers = {"largest_difference_of_two_passes": float(f"{(first - again).abs().max():.4g}")}
        yield Finding("state_kept", "fail", cause, "start from the same state in every forward pass", numbers)
    elif _differs(first, other) and len(first) > 2 and not _differs(first.sort(dim=0)[0], other.sort(dim=0)[0]):
        cause = "the rows of a batch are shuffled in the forward pass: outputs belong to other rows than their targets"
        yield Finding("rows_shuffled", "fail", cause, "leave the order of the rows as it is")
    elif _differs(first, other):
        has_dropout = any(isinstance(part, Dropout) for part in module.model.modules())
        where = "a functional dropout without training=self.training" if not has_dropout else "a dropout"
        cause = f"the outputs are random in eval mode: {where} stays on, or noise is drawn"
        numbers = {"largest_difference_of_two_passes": float(f"{difference:.4g}")}
        yield Finding("random_in_eval_mode", "fail", cause, "F.dropout(x, p, training=self.training)", numbers)
    yield from _dropped_outputs(module, inputs, first)
    buffers = {name: value.clone() for name, value in module.model.named_buffers()}
    outputs_of(module, inputs)
    moved = [name for name, value in module.model.named_buffers() if not torch.equal(value, buffers[name])]
    if moved:
        cause = f"a forward pass in eval mode changes the buffer {moved[0]}: val rows leak into the model's statistics"
        yield Finding("buffers_change_in_eval_mode", "fail", cause, "update statistics only while self.training", {})


def _dropped_outputs(module: Any, inputs: Tensor, outputs: Tensor) -> Iterator[Finding]:
    """Outputs that are exactly 0 in train mode, now these, now those, and never in eval mode."""
    module.train()
    are_zero = seeded_outputs(module, inputs, 1) == 0, seeded_outputs(module, inputs, 2) == 0
    if bool((outputs != 0).all()) and not torch.equal(*are_zero):
        share = float(are_zero[0].float().mean())
        cause = f"a dropout stands behind the last layer: it sets {100 * share:.0f} % of the outputs to 0 in training"
        numbers = {"share_of_outputs": float(f"{share:.4g}")}
        yield Finding("outputs_dropped", "doubtful", cause, "put the dropout in front of the last layer", numbers)
    module.eval()


def _differs(first: Tensor, other: Tensor) -> bool:
    return float((first - other).abs().max()) > 1e-6 * max(1.0, float(first.abs().max()))
