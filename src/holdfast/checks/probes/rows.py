"""An output must depend on its own row, on all of it, and on no other one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.probes.outputs import softmax_over_rows
from holdfast.checks.probes.training import take_steps
from holdfast.checks.subject import EMBEDDINGS, Subject, has_categories, inputs_of, plain_number, seeded_outputs
from holdfast.training.module import SupervisedModule

NUM_ROWS = 16
SEEN = 1e-4
MOSTLY, NEARLY_ALL = 0.5, 0.75
PASSED = 1e-3
NUM_PASSES = 5
WANDERING = 0.3
SMALL_STEP = 0.2  # of standardised inputs
MANY, TELLING = 300, 0.7
SEQUENTIAL = (nn.RNNBase, nn.MultiheadAttention)


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
        if _is_constant(later) and not _is_passed_through(module, inputs):
            spread = float((later - later[:1]).abs().max())
            how = f"hardly depend on the input (they differ by {spread:.1g} from row to row)"
            how = how if spread > 0 else "ignore the input: all rows have the same"
            yield finding("inputs_ignored", {"spread_of_outputs_over_rows": spread}, how=how)
            return
    yield from _unseen(subject, module, inputs)


def _others(subject: Subject, module: SupervisedModule, inputs: Tensor, outputs: Tensor) -> Iterator[Finding]:
    """Exchange all rows but one: its outputs must stay; turn the order of all: their outputs must go with them."""
    with torch.no_grad():  # a transformer of torch's computes in another way where gradients are wanted
        is_drawn = not torch.equal(seeded_outputs(module, inputs, 1), outputs)
    if len(inputs) < 4 or is_drawn:
        return  # what is drawn in eval mode is told by another probe
    scale = max(float(outputs.abs().max()), 1e-6)
    may_move = inputs.is_floating_point() and not has_categories(subject)
    with torch.no_grad():
        changes = [float((seeded_outputs(module, inputs.flip(0)).flip(0) - outputs).abs().max())]
        for kept in (0, len(inputs) // 2, len(inputs) - 1):
            exchanged = inputs.roll(len(inputs) // 3 + 1, 0) + (0.1 if may_move else 0)
            exchanged[kept] = inputs[kept]
            changes.append(float((seeded_outputs(module, exchanged)[kept] - outputs[kept]).abs().max()))
    largest, takes_batch_for_steps = max(changes), _takes_batch_for_steps(module, inputs)
    if largest <= SEEN * scale and not takes_batch_for_steps:
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
    elif takes_batch_for_steps:
        why = "the batch is taken for the sequence (batch_first is missing)"
        advice = "batch_first=True"
    yield finding(
        "rows_see_each_other", numbers, word=None if largest > SEEN * scale else "doubtful", why=why, advice=advice
    )


@torch.no_grad()
def _is_kept(module: SupervisedModule, inputs: Tensor, outputs: Tensor) -> bool:
    """Tell whether outputs that differ from row to row stay as they are when the rows are exchanged."""
    return not _is_constant(outputs) and torch.equal(seeded_outputs(module, inputs.flip(0)), outputs)


def _is_passed_through(module: SupervisedModule, inputs: Tensor) -> bool:
    """Tell whether outputs have a gradient by the inputs nonetheless (straight-through), as behind a book of codes."""
    probe = inputs.detach().clone().requires_grad_(inputs.is_floating_point())
    outputs = seeded_outputs(module, probe)
    if not probe.requires_grad or not outputs.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(outputs.square().sum(), probe, allow_unused=True)
    return gradient is not None and float(gradient.square().mean().sqrt()) > PASSED


@torch.no_grad()
def _takes_batch_for_steps(module: SupervisedModule, inputs: Tensor) -> bool:
    """Tell whether a recurrent layer or an attention that wants (steps, rows, ...) gets the rows first."""
    shapes = list[torch.Size]()

    def look(part: nn.Module, values: Any, named: Any) -> None:
        first = (*values, *named.values())[0]
        shapes.append(getattr(first, "shape", torch.Size()))  # packed sequences have none

    parts = [part for part in module.modules() if isinstance(part, SEQUENTIAL) and not part.batch_first]
    if not parts:
        return False
    hooks = [part.register_forward_pre_hook(look, with_kwargs=True) for part in parts]
    seeded_outputs(module, inputs)
    for hook in hooks:
        hook.remove()
    return any(len(shape) == 3 and shape[0] == len(inputs) and shape[1] % len(inputs) for shape in shapes)


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
        yield from _rounded(subject, module, inputs)
        return
    if gradient is None or not bool((gradient != 0).any()):
        yield from _rounded(subject, module, inputs)
        return
    if gradient.ndim == 2:
        yield from _unseen_columns(subject, module, inputs)
        return
    is_unseen = (gradient == 0).all(dim=0)
    share = float(is_unseen.float().mean())
    if share > MOSTLY or (is_unseen.ndim == 3 and bool(is_unseen.flatten(1).all(dim=1).any())):
        yield finding("inputs_ignored_in_part", {"share_of_inputs_without_effect": plain_number(share)})


def _unseen_columns(subject: Subject, module: SupervisedModule, inputs: Tensor) -> Iterator[Finding]:
    """Columns of a table that move no output, alone or in a mixture, whatever the row and the weights."""
    passes = []
    for seed in range(NUM_PASSES):
        probe = inputs.detach().clone().requires_grad_()
        outputs = seeded_outputs(module, probe, seed)
        (gradient,) = torch.autograd.grad((outputs * torch.randn_like(outputs)).sum(), probe)
        if bool((gradient != 0).any()):
            passes.append(gradient[gradient.abs().amax(dim=1) > 0])
        with torch.no_grad():
            for parameter in module.model.parameters():
                parameter.add_(WANDERING * torch.randn_like(parameter))
    gradients = torch.cat(passes) if passes else torch.empty(0)
    if not len(gradients) or not bool(gradients.isfinite().all()):
        return
    is_unseen, num_columns = gradients == 0, inputs.shape[1]
    _, scales, directions = torch.linalg.svd(functional.normalize(gradients.double()), full_matrices=False)
    rank = int((scales > 1e-5 * scales[0]).sum())
    if rank == len(directions) - 1 and subject.task.is_values:
        x, y = subject.rows(MANY)
        level = inputs_of(subject.module(), x).double() @ directions[-1]
        correlation = float(torch.corrcoef(torch.stack([level, y.reshape(len(y), -1)[:, 0].double()]))[0, 1].abs())
        if correlation > TELLING:
            yield finding("level_ignored", {"correlation": correlation})
    # a narrow layer has one direction for each set of weights, a mean over columns has one for all
    is_mixed = rank < min(len(passes), num_columns) - 1
    columns = num_columns - rank if is_mixed else int(is_unseen.all(dim=0).sum())
    share = float(is_unseen.float().mean())
    if columns or share > MOSTLY:
        numbers = {"share_of_inputs_without_effect": plain_number(max(share, columns / num_columns))}
        yield finding("inputs_ignored_in_part", numbers)


@torch.no_grad()
def _rounded(subject: Subject, module: SupervisedModule, inputs: Tensor) -> Iterator[Finding]:
    """Fractions of which small differences are lost; codes of a fine grid, as bins of an embedding, keep them."""
    outputs, same = seeded_outputs(module, inputs), []
    if not inputs.is_floating_point() or torch.equal(inputs, inputs.round()):
        yield from _taken_for_one(module, inputs, outputs)
        return
    if torch.equal(seeded_outputs(module, inputs + torch.randn_like(inputs)), outputs):
        return
    for place in torch.randperm(inputs[0].numel())[:NUM_PASSES]:
        moved = inputs.clone()
        moved.view(len(inputs), -1)[:, place] += SMALL_STEP
        same.append(float((seeded_outputs(module, moved) == outputs).all(dim=1).float().mean()))
    share = sum(same) / len(same)
    if share <= NEARLY_ALL:
        return
    stored, _ = subject.rows(NUM_ROWS)
    are_ids = torch.equal(stored, stored.round()) and any(isinstance(part, EMBEDDINGS) for part in module.modules())
    how, advice = "a cast to whole numbers, or a comparison", "take the inputs as they are: x.float(), not x.int()"
    if are_ids:
        how, advice = "ids of an embedding, which the transform has standardised", "transform=none"
    yield finding("inputs_rounded", {"share_of_rows_that_stay_the_same": plain_number(share)}, how=how, advice=advice)


@torch.no_grad()
def _taken_for_one(module: SupervisedModule, inputs: Tensor, outputs: Tensor) -> Iterator[Finding]:
    """Whole numbers, such as ids of words, that may be exchanged without any effect."""
    flat, same = inputs.reshape(len(inputs), -1), list[Tensor]()
    for place in torch.randperm(flat.shape[1])[: 4 * NUM_PASSES]:
        moved = flat.clone()
        moved[:, place] = flat[:, place].roll(1)
        is_other = (moved != flat).any(dim=1) & (moved[:, place] != 0) & (flat[:, place] != 0)  # 0 may be masked
        same.append((seeded_outputs(module, moved.view_as(inputs)) == outputs).all(dim=1)[is_other])
    share = float(torch.cat(same).float().mean())
    if share > NEARLY_ALL:
        how, advice = (
            "different ids are taken for one, or most places are not read",
            "an embedding with a row for each id",
        )
        yield finding(
            "inputs_rounded", {"share_of_ids_that_change_nothing": plain_number(share)}, how=how, advice=advice
        )
