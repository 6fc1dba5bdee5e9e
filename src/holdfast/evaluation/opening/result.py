"""The result of an opening: what its level lets into the ledger, and the answer that is read from there.

What is printed is what is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.core import metrics as table
from holdfast.core.errors import VaultRefused
from holdfast.evaluation.criterion import passes
from holdfast.evaluation.processes import Scored
from holdfast.vault import policies
from holdfast.vault.ledger import leaked_bits, ledger

COMPARISON_BITS = 2 * leaked_bits.FLOAT_BITS


@dataclass(frozen=True)
class Opened:
    """The answer of `holdfast open`."""

    selection: str  # its id
    vault: str  # its id
    opening: int  # which opening of the vault it was, from 1
    n: int  # how many test rows there are
    # {"value", "low", "high", "method"} by name, of the first model; empty under the policy criterion
    metrics: dict[str, dict[str, Any]]
    head: str  # of the ledger with the result in it
    replayed: bool  # whether it was only repeated
    level: str = policies.FULL  # "full", "primary" (not a clean test) or "criterion"
    # {"name", "metrics"} of each; of several targets with "targets": {"name", "metrics"} of each
    models: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)  # the first model against each other one
    confidence: float = 0.95  # of each interval
    reason: str | None = None  # why the vault was opened again
    # {"bits_before", "delta", "half_width", "n_eff"} of the result: the adaptive bound
    wear: dict[str, Any] = field(default_factory=dict)
    criterion: dict[str, Any] | None = None  # {"criterion", "passed"}, or None
    # {"vault", "openings"} of every vault that had these rows before
    former: list[dict[str, Any]] = field(default_factory=list)
    # what the models could have done with the rows beside predicting, in words
    not_confined: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[dict[str, Any]]:
        """{"name", "metrics"} of each of several targets, by the first model; empty for other tasks."""
        return self.models[0].get("targets", []) if self.models else []

    @property
    def is_clean(self) -> bool:
        """Tell whether these rows had answered nobody before."""
        return self.level != policies.PRIMARY and all(former["openings"] == 0 for former in self.former)

    @property
    def heading(self) -> str:
        """The words that must stand above the numbers; empty for a clean opening."""
        return f"opening {self.opening}; not a clean test" if self.level == policies.PRIMARY else ""

    def as_dict(self) -> dict[str, Any]:
        """The values for JSON; what does not apply is left out."""
        names = ["selection", "vault", "opening", "n", "metrics", "head", "replayed"]
        names += ["models"] if len(self.models) > 1 or self.targets else []
        names += ["confidence"] if self.confidence != Opened.confidence else []
        names += ["reason", "wear", "heading"] if self.heading else []
        names += [name for name in ("comparisons", "former", "not_confined") if getattr(self, name)]
        return {name: getattr(self, name) for name in names} | (self.criterion or {})


def select_result(fields: Mapping[str, Any], level: str, scored: Scored, num_rows: int) -> tuple[dict[str, Any], float]:
    """Select what an opening reports by its level, and count how many bits of the test rows that is."""

    def bits_of(names: Iterable[str]) -> float:
        return leaked_bits.answer_bits(fields["task"], num_rows, fields["num_outputs"], list(names))

    first = scored.models[0]["metrics"]
    if level == policies.PRIMARY:
        name = fields["primary_metric"] if fields["primary_metric"] in first else next(iter(first))
        return {"metrics": {name: first[name]}}, bits_of([name])
    body: dict[str, Any] = {"metrics": {}}
    if criterion := fields["criterion"]:
        body["criterion"] = {"criterion": criterion, "passed": passes(criterion, first)}
    if level == policies.CRITERION:
        return body, leaked_bits.PASS_BITS
    models = [_in_order(model) for model in scored.models]
    body |= {"metrics": first, "models": models, "comparisons": scored.comparisons}
    bits = sum(bits_of(model["metrics"]) for model in models)
    bits += sum(bits_of(target["metrics"]) for model in models for target in model.get("targets", ()))
    return body, bits + COMPARISON_BITS * len(scored.comparisons)


def answer_of(result: ledger.Entry, *, is_replayed: bool) -> Opened:
    """The answer that an `open.result` records.

    Raises:
        VaultRefused: It records none.
    """
    fields, body = result.fields, result.body
    try:
        return Opened(
            selection=str(fields["selection"]),
            vault=str(fields["vault"]),
            opening=int(fields["opening"]),
            head=result.sha256,
            replayed=is_replayed,
            metrics=in_order(body["metrics"]),
            models=[_in_order(model) for model in body.get("models", [])],
            comparisons=body.get("comparisons", []),
            criterion=body.get("criterion"),
            n=int(body["n"]),
            confidence=float(body["confidence"]),
            **{name: body[name] for name in ("level", "reason", "wear", "former", "not_confined")},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"entry {result.index} of its ledger is no result ({type(error).__name__}: {error})"
        raise VaultRefused(f"vault {fields['vault'][:8]}", problem, next="holdfast vault verify") from None


def in_order(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics in the order in which they are shown."""
    return {name: metrics[name] for name in table.in_order(metrics)}


def _in_order(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model, or one of its targets, with its metrics in the order in which they are shown."""
    targets = {"targets": [_in_order(target) for target in model["targets"]]} if "targets" in model else {}
    return {**model, "metrics": in_order(model["metrics"]), **targets}


def find_entry(entries: Sequence[ledger.Entry], type: str, selection: str) -> ledger.Entry | None:
    """The first entry of a type that is about a selection."""
    return next((entry for entry in entries if entry.type == type and entry.selection == selection), None)
