"""The result of an opening: what its level lets into the ledger, the answer that is read from there, a line to quote.

What is printed is what is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.core import metrics as table
from holdfast.core.errors import VaultRefused
from holdfast.core.figures import figure
from holdfast.evaluation.criterion import passes
from holdfast.evaluation.processes import Scored
from holdfast.training.metric_names import metric_and_target
from holdfast.vault import policies
from holdfast.vault.ledger import leaked_bits, ledger

QUOTED_FIRST = ("accuracy", "rmse")
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
        name, value = _primary(fields["primary_metric"], scored.models[0])
        return {"metrics": {name: value}}, bits_of([metric_and_target(name)[0]])
    body: dict[str, Any] = {"metrics": {}}
    if criterion := fields["criterion"]:
        body["criterion"] = {"criterion": criterion, "passed": passes(criterion, first)}
    if level == policies.CRITERION:
        return body, leaked_bits.PASS_BITS
    models = scored.models
    body |= {"metrics": first, "models": models, "comparisons": scored.comparisons}
    bits = sum(bits_of(model["metrics"]) for model in models)
    bits += sum(bits_of(target["metrics"]) for model in models for target in model.get("targets", ()))
    return body, bits + COMPARISON_BITS * len(scored.comparisons)


def _primary(name: str, model: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The primary metric of a model by its name, which may be that of one of several targets; else its first one."""
    metric, target = metric_and_target(name)
    entries = dict(model["metrics"])
    for each in model.get("targets", ()):
        if each["name"] == target and metric in each["metrics"]:
            entries[name] = each["metrics"][metric]
    name = name if name in entries else next(iter(entries))
    return name, entries[name]


def answer_of(result: ledger.Entry, *, is_replayed: bool) -> Opened:
    """The answer that an `open.result` records; refused where it records none."""
    fields, body = result.fields, result.body
    try:
        return Opened(
            selection=str(fields["selection"]),
            vault=str(fields["vault"]),
            opening=int(fields["opening"]),
            head=result.sha256,
            replayed=is_replayed,
            metrics=in_order(body["metrics"]),
            models=[_model_in_order(model) for model in body.get("models", [])],
            comparisons=body.get("comparisons", []),
            criterion=body.get("criterion"),
            n=int(body["n"]),
            confidence=float(body["confidence"]),
            **{name: body[name] for name in ("level", "reason", "wear", "former", "not_confined")},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"entry {result.index} of its ledger is no result ({type(error).__name__}: {error})"
        raise VaultRefused(f"vault {fields['vault'][:8]}", problem, next="holdfast vault verify") from None


def quotable(opened: Opened) -> str:
    """One line for the metrics, or for the one bit of a criterion where that is all that was told."""
    number = f"opening {opened.opening} of {opened.opening}"
    if not opened.is_clean:
        number = f"opening {opened.opening}; not a clean test"
    if len(opened.models) > 1:
        number += f", the best by val of {len(opened.models)}"
    number += "".join(f", {_former(former)}" for former in opened.former)
    place = f"vault {opened.vault[:8]}, selection {opened.selection[:8]}, head {opened.head[:8]}"
    where = f"n = {opened.n:,}, {number}, {place}"
    criterion, metrics = opened.criterion, opened.metrics
    if not metrics and criterion:
        bits = f"{opened.wear['bits_before']:.0f} bits told before"
        where = f"n = {opened.n:,}, answer {opened.opening} of its vault, {bits}, {place}"
        return f"test of {criterion['criterion']}: {'passed' if criterion['passed'] else 'failed'}, {where}"
    name = next((name for name in QUOTED_FIRST if name in metrics), next(iter(metrics)))
    return f"test {name} {_value(name, metrics[name], opened.confidence)}, {where}"


def in_order(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics in the order in which they are shown."""
    return {name: metrics[name] for name in table.in_order(metrics)}


def _model_in_order(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model, or one of its targets, with its metrics in the order in which they are shown."""
    targets = {"targets": [_model_in_order(target) for target in model["targets"]]} if "targets" in model else {}
    return {**model, "metrics": in_order(model["metrics"]), **targets}


def find_entry(entries: Sequence[ledger.Entry], type: str, selection: str) -> ledger.Entry | None:
    """The first entry of a type that is about a selection."""
    return next((entry for entry in entries if entry.type == type and entry.selection == selection), None)


def _former(former: Mapping[str, Any]) -> str:
    openings = former["openings"]
    times = {None: "may have been opened", 0: "was never opened", 1: "was opened once"}
    return f"rows of former vault {former['vault'][:8]}, which {times.get(openings, f'was opened {openings} times')}"


def _value(name: str, entry: Mapping[str, Any], confidence: float) -> str:
    if entry["value"] is None:
        return "undefined"
    keys = ("value",) if entry["low"] is None else ("value", "low", "high")
    numbers = [f"{100 * entry[key]:.2f}" if table.is_share(name) else figure(entry[key]) for key in keys]
    value = f"{numbers[0]} %" if table.is_share(name) else numbers[0]
    if len(numbers) == 1:
        return value
    method = entry["method"][:1].upper() + entry["method"][1:]
    return f"{value} [{numbers[1]}, {numbers[2]}] {method} {100 * confidence:.4g} %"
