"""What an opening lets out, by its level, and how many bits of the test rows that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.evaluation.criterion import passes
from holdfast.evaluation.opening.result import in_order
from holdfast.evaluation.processes import Scored
from holdfast.vault import policies
from holdfast.vault.ledger import leaked_bits

COMPARISON_BITS = 2 * leaked_bits.FLOAT_BITS


def let_out(
    fields: Mapping[str, Any], how: policies.Allowed, scored: Scored, num_rows: int
) -> tuple[dict[str, Any], float]:
    """What the ledger and the user are told, and how many bits that is."""
    first = scored.models[0]["metrics"]
    if how.level == policies.CRITERION:
        told = {"criterion": fields["criterion"], "passed": passes(fields["criterion"], first)}
        return {"metrics": {}, "criterion": told}, leaked_bits.PASS_BITS
    if how.level == policies.PRIMARY:
        name = fields["primary_metric"] if fields["primary_metric"] in first else next(iter(first))
        bits = leaked_bits.answer_bits(fields["task"], num_rows, fields["num_outputs"], [name])
        return {"metrics": {name: first[name]}}, bits
    models = [{"name": model["name"], "metrics": in_order(model["metrics"])} for model in scored.models]
    told = {"metrics": first, "models": models, "comparisons": scored.comparisons}
    if fields["criterion"] is not None:
        told["criterion"] = {"criterion": fields["criterion"], "passed": passes(fields["criterion"], first)}
    bits = sum(
        leaked_bits.answer_bits(fields["task"], num_rows, fields["num_outputs"], list(model["metrics"]))
        for model in models
    )
    return told, bits + COMPARISON_BITS * len(scored.comparisons)
