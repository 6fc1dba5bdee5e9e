"""More regularisation must give more loss (CS231n, "Sanity checks")."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from omegaconf import OmegaConf

from holdfast.checks.run import check
from holdfast.checks.subject import Subject, data_loss, plain_number, regularization_of, trainable
from holdfast.checks.verdict import Verdict, skipped
from holdfast.config.resolve import build_option

FACTORS = (0.0, 1.0, 2.0, 10.0)
NUM_ROWS = 64
SWAMPING, PULLING = 10.0, 3.0


@check
def regularization_loss(subject: Subject) -> Verdict:
    """Evaluate the term of the regularisation at the start with 0, 1, 2 and 10 times its strength.

    It must rise with the strength, and must not overwhelm the loss of the data.
    """
    if not subject.config.regularization:
        return skipped("regularization_loss", "no regularisation is chosen (weight decay is none: it adds no loss)")
    node = OmegaConf.to_container(subject.config.regularization, resolve=True)
    assert isinstance(node, dict)
    strengths = {
        str(key): value for key, value in node.items() if "strength" in str(key) and isinstance(value, float | int)
    }
    if not strengths or not any(strengths.values()):
        return skipped("regularization_loss", "the option has no strength above 0 to change")
    model = subject.module().model
    terms = {}
    for factor in FACTORS:
        changed: dict[str, Any] = {key: factor * value for key, value in strengths.items()}
        terms[f"{factor:g}"] = plain_number(build_option({**node, **changed})(model).detach())
    module, inputs, y = subject.start(NUM_ROWS)
    loss, weights = data_loss(module, inputs, y), list(trainable(module.model).values())
    of_data, slopes = float(loss.detach()), []
    for value in (regularization_of(module), loss):
        assert value is not None
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
        slopes.append(sum(float(g.square().sum()) for g in gradients if g is not None) ** 0.5)
    pull = slopes[0] / max(slopes[1], 1e-12)
    evidence = {"terms_by_factor": terms, "strengths": strengths, "loss_of_data": plain_number(of_data)}
    evidence["slope_against_that_of_data"] = plain_number(pull)
    values = list(terms.values())
    if terms["1"] > SWAMPING * abs(of_data) or pull > PULLING:
        cause = f"the regularisation swamps the loss of the data: {terms['1']:.3g} against {of_data:.3g} at the start, "
        cause += f"and pulls the weights {pull:.3g} times as hard: its strength is too large"
        return Verdict("regularization_loss", "doubtful", evidence, (cause,), "regularization.strength=1e-3, or less")
    if all(lower < higher for lower, higher in pairwise(values)):
        return Verdict("regularization_loss", "pass", evidence)
    cause = f"the loss does not rise with the strength: the terms are {', '.join(f'{value:.4g}' for value in values)}"
    return Verdict("regularization_loss", "doubtful", evidence, (cause,), "look at the sign and at what is summed")
