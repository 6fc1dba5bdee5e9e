"""The common mistakes, found by running the module for a step or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from holdfast.checks.probes.causes import Finding, likeliest_first
from holdfast.checks.probes.data import augmentation_mistakes, data_mistakes
from holdfast.checks.probes.first_steps import direction_mistakes, first_step_mistakes, minimum_mistakes
from holdfast.checks.probes.forward import forward_mistakes
from holdfast.checks.probes.linear import linearity_mistakes
from holdfast.checks.probes.loss import loss_mistakes
from holdfast.checks.probes.modes import mode_mistakes
from holdfast.checks.probes.outputs import output_mistakes
from holdfast.checks.probes.rows import row_mistakes
from holdfast.checks.probes.scales import input_mistakes, norm_mistakes, scale_mistakes
from holdfast.checks.probes.training import (
    gradient_flow_mistakes,
    optimizer_mistakes,
    step_mistakes,
    symmetry_mistakes,
)
from holdfast.checks.run import check, untouched
from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict, gravest

Probe = Callable[[Subject], Iterator[Finding]]

# the quickest that find most come first: a limit of time leaves out the last ones
PROBES: tuple[Probe, ...] = (
    step_mistakes,
    loss_mistakes,
    mode_mistakes,
    gradient_flow_mistakes,
    row_mistakes,
    output_mistakes,
    symmetry_mistakes,
    input_mistakes,
    norm_mistakes,
    optimizer_mistakes,
    scale_mistakes,
    direction_mistakes,
    first_step_mistakes,
    minimum_mistakes,
    forward_mistakes,
    linearity_mistakes,
    data_mistakes,
    augmentation_mistakes,
)


@check
def mistakes(subject: Subject) -> Verdict:
    """Look for common mistakes; silent on what is unusual and right."""
    findings, left_out = list[Finding](), dict[str, str]()
    for probe in PROBES:
        name = probe.__name__
        if not subject.has_time:
            left_out[name] = "no time was left"
            continue
        try:
            with untouched(subject.config.seed):
                findings += list(probe(subject))
        except Exception as error:  # a user's own code may raise anything
            left_out[name] = f"{type(error).__name__}: {error}"
    findings = likeliest_first(findings)
    evidence: dict[str, Any] = {finding.mistake: dict(finding.evidence) for finding in findings}
    if left_out:
        evidence["not_looked_at"] = left_out
    if not findings:
        return Verdict("mistakes", "pass" if len(left_out) < len(PROBES) else "skipped", evidence)
    word = gravest(finding.word for finding in findings)
    return Verdict("mistakes", word, evidence, tuple(finding.cause for finding in findings), findings[0].next)
