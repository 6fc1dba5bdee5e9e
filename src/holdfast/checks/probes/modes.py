"""Train and eval mode: a model must be in the one that it is asked to be in, and must not draw in eval mode."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from holdfast.checks.probes.finding import Finding
from holdfast.checks.subject import Subject, inputs_of, outputs_of

NUM_ROWS = 16
MODES = nn.modules.dropout._DropoutNd | nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def mode_mistakes(subject: Subject) -> Iterator[Finding]:
    """Models that are stuck in a mode, change it by themselves, or are random in eval mode."""
    module = subject.module()
    model = module.model
    x, _ = subject.rows(NUM_ROWS)
    inputs = inputs_of(module, x)
    model.eval()
    stuck = [name or "the model" for name, part in model.named_modules() if part.training]
    if stuck:
        cause = f"the model is stuck in train mode: after eval() {stuck[0]} still trains (train or eval is overridden)"
        yield Finding("stuck_in_train_mode", "fail", cause, "let train(mode) hand the mode on", {"parts": len(stuck)})
    outputs_of(module, inputs)
    if not stuck and (changed := [name or "the model" for name, part in model.named_modules() if part.training]):
        cause = f"the forward pass switches {changed[0]} to train mode: validation and prediction run in it"
        yield Finding("forward_changes_mode", "fail", cause, "leave train() and eval() out of forward")
    model.train()
    held = [name for name, part in model.named_modules() if not part.training and _shows_in_training(part)]
    if not model.training or held:
        part = held[0] if model.training else "the model"
        cause = f"the model is stuck in eval mode: after train() {part} is still in it (train is overridden)"
        yield Finding("stuck_in_eval_mode", "fail", cause, "let train(mode) hand the mode on", {"parts": len(held)})
    else:
        outputs_of(module, inputs)
        changed = [name or "the model" for name, part in model.named_modules() if not part.training]
        changed = [name for name in changed if name == "the model" or _shows_in_training(model.get_submodule(name))]
        if changed:
            cause = f"the forward pass switches {changed[0]} to eval mode: dropout and batch norm do not train"
            yield Finding("forward_changes_mode", "fail", cause, "leave train() and eval() out of forward")
    if not stuck:
        yield from _drawing(subject)


def _shows_in_training(part: nn.Module) -> bool:
    """Tell whether the mode matters to a part that is not kept still on purpose."""
    if isinstance(part, nn.modules.dropout._DropoutNd):
        return part.p > 0
    if isinstance(part, nn.modules.batchnorm._BatchNorm):
        return any(parameter.requires_grad for parameter in part.parameters())
    return False


def _drawing(subject: Subject) -> Iterator[Finding]:
    module = subject.module().eval()
    x, _ = subject.rows(NUM_ROWS)
    inputs = inputs_of(module, x)
    first, other = _seeded(module, inputs, 1), _seeded(module, inputs, 2)
    difference = float((first - other).abs().max())
    if difference > 1e-6 * max(1.0, float(first.abs().max())):
        has_dropout = any(isinstance(part, nn.modules.dropout._DropoutNd) for part in module.model.modules())
        where = "a functional dropout without training=self.training" if not has_dropout else "a dropout"
        cause = f"the outputs are random in eval mode: {where} stays on, or noise is drawn"
        numbers = {"largest_difference_of_two_passes": float(f"{difference:.4g}")}
        yield Finding("random_in_eval_mode", "fail", cause, "F.dropout(x, p, training=self.training)", numbers)
    buffers = {name: value.clone() for name, value in module.model.named_buffers()}
    outputs_of(module, inputs)
    moved = [name for name, value in module.model.named_buffers() if not torch.equal(value, buffers[name])]
    if moved:
        cause = f"a forward pass in eval mode changes the buffer {moved[0]}: val rows leak into the model's statistics"
        yield Finding("buffers_change_in_eval_mode", "fail", cause, "update statistics only while self.training", {})


def _seeded(module: nn.Module, inputs: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return outputs_of(module, inputs)  # type: ignore[arg-type]
