"""Layers without activations between them: together they are one layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from holdfast.checks.probes.causes import Finding, finding
from holdfast.checks.subject import Subject, has_categories, multiplies, seeded_outputs, trainable

NUM_ROWS = 16
SAME = 1e-4
SCALE = 3.0


@torch.no_grad()
def linearity_mistakes(subject: Subject) -> Iterator[Finding]:
    """A model of several layers whose outputs are linear in its inputs, whatever its weights."""
    module, inputs, _ = subject.start(NUM_ROWS)
    layers = [name for name, part in module.model.named_modules() if multiplies(part)]
    if len(layers) < 2 or subject.task.is_rows or has_categories(subject) or torch.equal(inputs, inputs.round()):
        return
    module.eval()
    for parameter in trainable(module.model).values():  # what starts at zero is linear for a while
        parameter.add_(0.1 * torch.randn_like(parameter))
    inputs, others = SCALE * inputs, SCALE * torch.randn_like(inputs)  # an attention is nearly linear near 0
    together = seeded_outputs(module, inputs + others) + seeded_outputs(module, torch.zeros_like(inputs))
    apart = seeded_outputs(module, inputs) + seeded_outputs(module, others)
    scale = float((apart - apart.mean(dim=0)).abs().max())
    if scale > SAME * float(apart.abs().max()) and float((together - apart).abs().max()) < SAME * scale:
        yield finding("network_is_linear", {"layers": layers[:10], "count": len(layers)})
