"""The common mistakes, found by running the module for a step or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.checks.probes.attention import attention_mistakes
from holdfast.checks.probes.data import data_mistakes
from holdfast.checks.probes.finding import Finding
from holdfast.checks.probes.linear import linearity_mistakes
from holdfast.checks.probes.loss import loss_mistakes
from holdfast.checks.probes.modes import mode_mistakes
from holdfast.checks.probes.outputs import output_mistakes
from holdfast.checks.probes.rows import row_mistakes
from holdfast.checks.probes.scales import input_mistakes, scale_mistakes
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
    optimizer_mistakes,
    scale_mistakes,
    attention_mistakes,
    linearity_mistakes,
    data_mistakes,
)
# A mistake that explains others comes in front of them.
LIKELIEST_FIRST = (
    "inputs_not_finite",
    "step_fails",
    "loss_not_finite",
    "slope_not_finite",
    "loss_cut_off",
    "slope_missing",
    "targets_ignored",
    "loss_unbounded",
    "outputs_ignored",
    "targets_shuffled",
    "wrong_sign",
    "labels_shifted",
    "labels_as_classes",
    "softmax_over_batch",
    "second_softmax",
    "stuck_in_train_mode",
    "stuck_in_eval_mode",
    "forward_changes_mode",
    "weights_change_in_forward",
    "hidden_parameters",
    "buffers_change_in_eval_mode",
    "rows_shuffled",
    "state_kept",
    "random_in_eval_mode",
    "outputs_of_an_earlier_batch",
    "rows_see_each_other",
    "graph_cut_off",
    "parameter_cut_off",
    "probabilities_as_logits",
    "not_log_probabilities",
    "not_probabilities",
    "symmetric_weights",
    "softmax_not_normalised",
    "inputs_not_normalised",
    "steps_without_slope",
    "inputs_rounded",
    "inputs_ignored",
)
# outputs that ignore the input are certain, and one of these is the reason where it is there as well
WHY_INPUTS_ARE_IGNORED = (
    "softmax_of_one_output",
    "dead_units",
    "saturated_units",
    "activations_vanish",
    "gradients_vanish",
)


@check
def mistakes(subject: Subject) -> Verdict:
    """Look for common mistakes; silent on what is unusual and right."""
    findings, left_out = [], {}
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
    is_ignored = any(finding.mistake == "inputs_ignored" for finding in findings)
    findings.sort(key=lambda finding: (not (is_ignored and finding.mistake in WHY_INPUTS_ARE_IGNORED), *_rank(finding)))
    evidence = {finding.mistake: dict(finding.evidence) for finding in findings}
    if left_out:
        evidence["not_looked_at"] = left_out
    if not findings:
        return Verdict("mistakes", "pass" if len(left_out) < len(PROBES) else "skipped", evidence)
    word = gravest(finding.word for finding in findings)
    return Verdict("mistakes", word, evidence, tuple(finding.cause for finding in findings), findings[0].next)


def _rank(finding: Finding) -> tuple[bool, int]:
    known = LIKELIEST_FIRST.index(finding.mistake) if finding.mistake in LIKELIEST_FIRST else len(LIKELIEST_FIRST)
    return finding.word != "fail", known
