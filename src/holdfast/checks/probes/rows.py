"""An output must depend on its own row, on all of it, and on no other one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.outputs import softmax_over_rows
from holdfast.checks.probes.training import take_steps
from holdfast.checks.subject import Subject, has_categories, plain_number, seeded_outputs
from holdfast.training.module import SupervisedModule

NUM_ROWS = 16
SEEN = 1e-4
MOSTLY = 0.5


def row_mistakes(subject: Subject) -> Iterator[Finding]:
    """Rows that see each other in eval mode, and inputs that no output depends on."""
    module, inputs, y = subject.start(NUM_ROWS)
    module.eval()
    before = inputs.clone()
    with torch.no_grad():
        outputs = seeded_outputs(module, inputs)
    if not bool(outputs.isfinite().all()):
        return  # another probe tells it
    if not torch.equal(before, inputs):
        yield finding("writes_into_inputs")
        inputs = before
    yield from _others(subject, module, inputs, outputs)
    if _is_constant(outputs):
        take_steps(module.train(), inputs, y, 5)
        with torch.no_grad():
            later = seeded_outputs(module.eval(), inputs)
        if _is_constant(later):
            spread = float((later - later[:1]).abs().max())
            how = f"hardly depend on the input (they differ by {spread:.1g} from row to row)"
            how = how if spread > 0 else "ignore the input: all rows have the same"
            yield finding("inputs_ignored", {"spread_of_outputs_over_rows": spread}, how=how)
            return
    yield from _unseen(subject, module, inputs)


def _others(subject: Subject, module: SupervisedModule, inputs: Tensor, outputs: Tensor) -> Iterator[Finding]:
    """Exchange all rows but one: its outputs must stay; turn the order of all: their outputs must go with them."""
    if len(inputs) < 4:
        return
    scale = max(float(outputs.abs().max()), 1e-6)
    may_move = inputs.is_floating_point() and not has_categories(subject)
    with torch.no_grad():
        changes = [float((seeded_outputs(module, inputs.flip(0)).flip(0) - outputs).abs().max())]
        for kept in (0, len(inputs) // 2, len(inputs) - 1):
            exchanged = inputs.roll(len(inputs) // 3 + 1, 0) + (0.1 if may_move else 0)
            exchanged[kept] = inputs[kept]
            changes.append(float((seeded_outputs(module, exchanged)[kept] - outputs[kept]).abs().max()))
    largest = max(changes)
    if largest <= SEEN * scale:
        return
    if _is_kept(module, inputs, outputs):
        yield finding("outputs_of_an_earlier_batch")
        return
    numbers = {"change_of_a_row_by_the_others": float(f"{largest:.4g}"), "largest_output": float(f"{scale:.4g}")}
    advice = "reduce over features (dim=1), never over the batch (dim=0); transpose, do not reshape, what has rows"
    why = "a reduction over the batch (mean, sum or normalisation over dimension 0), or a view that mixes rows"
    if max(changes[1:]) <= SEEN * scale:
        why = "what a row gives depends on its place in the batch (an encoding that is added along dimension 0)"
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if softmax_over_rows(subject):
        why = "a softmax over the wrong dimension (the batch, dimension 0)"
    elif any(norm.training or not norm.track_running_stats for norm in norms):
        why = "batch normalisation with the statistics of the batch in eval mode"
        advice = "nn.BatchNorm1d(..., track_running_stats=True), and eval() must reach it"
    elif any(_is_sequence_first(part) for part in module.modules()):
        why = "the batch is taken for the sequence (batch_first is missing)"
        advice = "batch_first=True"
    yield finding("rows_see_each_other", numbers, why=why, advice=advice)


@torch.no_grad()
def _is_kept(module: SupervisedModule, inputs: Tensor, outputs: Tensor) -> bool:
    """Tell whether outputs that differ from row to row stay as they are when the rows are exchanged."""
    return not _is_constant(outputs) and torch.equal(seeded_outputs(module, inputs.flip(0)), outputs)


def _is_sequence_first(part: nn.Module) -> bool:
    return isinstance(part, nn.RNNBase | nn.MultiheadAttention) and not part.batch_first


def _is_constant(outputs: Tensor) -> bool:
    spread = float((outputs - outputs[:1]).abs().max()) if len(outputs) > 1 else 1.0
    return spread <= 1e-6 * max(1e-6, float(outputs.abs().max()))


def _unseen(subject: Subject, module: SupervisedModule, inputs: Tensor) -> Iterator[Finding]:
    """Inputs without any gradient."""
    if has_categories(subject):
        return
    probe = inputs.detach().clone().requires_grad_()
    try:
        outputs = seeded_outputs(module, probe)
        (gradient,) = torch.autograd.grad((outputs * torch.randn_like(outputs)).sum(), probe, allow_unused=True)
    except RuntimeError:
        yield from _rounded(module, inputs)
        return
    if gradient is None or not bool((gradient != 0).any()):
        yield from _rounded(module, inputs)
        return
    is_unseen = (gradient == 0).all(dim=0)
    channels = is_unseen.flatten(1).all(dim=1) if is_unseen.ndim == 3 else is_unseen.flatten()
    share = float(is_unseen.float().mean())
    unseen_channels = int(channels.sum()) if is_unseen.ndim == 3 else 0
    if share > MOSTLY or unseen_channels:
        yield finding("inputs_ignored_in_part", {"share_of_inputs_without_effect": plain_number(share)})


@torch.no_grad()
def _rounded(module: SupervisedModule, inputs: Tensor) -> Iterator[Finding]:
    """Inputs of which small differences are lost, though they are no whole numbers, and none are looked up."""
    looks_up = any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in module.modules())
    if looks_up or not inputs.is_floating_point() or torch.equal(inputs, inputs.round()):
        return
    outputs, noise = seeded_outputs(module, inputs), torch.randn_like(inputs)
    near, far = (seeded_outputs(module, inputs + step * noise) for step in (1e-5, 1.0))
    share = float((near == outputs).all(dim=1).float().mean())
    if share > MOSTLY and not torch.equal(far, outputs):
        yield finding("inputs_rounded", {"share_of_rows_that_stay_the_same": plain_number(share)})
