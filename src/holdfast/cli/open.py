"""`holdfast open SELECTION`: the final stage."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from holdfast.cli.arguments import Json, KeyFile, Reason, Selection
from holdfast.core.errors import HoldfastError
from holdfast.core.figures import figure
from holdfast.core.terminal import Console, numbers_column, plain_table

if TYPE_CHECKING:
    from holdfast.evaluation.opening.result import Opened


def open_selection(
    selection: Selection,
    reason: Annotated[str | None, typer.Option(help="Opens a vault again: one metric, not a clean test.")] = None,
    key: KeyFile = None,
    as_json: Json = False,
) -> None:
    """The final stage: evaluate a frozen selection on the sealed test rows, once.

    Models that were frozen together (vault=batch vault.k=K) are compared on the same rows. Each interval is at
    alpha / K, and the p values of all comparisons are corrected by Holm.
    """
    from holdfast.evaluation.opening.final import open_vault
    from holdfast.vault.policies import check_reason

    if reason is not None:
        check_reason(reason)
    opened, changes = open_vault(selection, reason=reason, key_file=key)
    report = _report(opened)
    if as_json:
        print(json.dumps(opened.as_dict()))
        return
    _tell(opened, changes)
    if report is not None:
        print(f"report     {report}")
    print("next       holdfast vault verify   (checks the ledger; the same selection repeats this answer)")


def reopen(selection: Selection, reason: Reason, key: KeyFile = None, as_json: Json = False) -> None:
    """Open a vault that was opened, at the level of the primary metric: not a clean test."""
    open_selection(selection, reason, key, as_json)


def _report(opened: Opened) -> Path | None:
    """Write the report; return its path, or None when it could not be written: the answer is told all the same."""
    from holdfast.evaluation.opening.report import write_report

    try:
        return write_report(opened.vault, opened.selection)["html"]
    except (HoldfastError, OSError) as error:
        print(f"warning: the report could not be written ({error}); holdfast report writes it again", file=sys.stderr)
        return None


def _tell(opened: Opened, changes: list[str]) -> None:
    from holdfast.evaluation.opening.result import quotable

    console = Console(highlight=False, soft_wrap=True)
    if opened.replayed:
        console.print("[dim]repeated from the ledger; nothing was decrypted[/dim]")
    if opened.heading:
        console.print(f"[bold yellow]{opened.heading}[/bold yellow]: {opened.reason}")
    tables = opened.models if len(opened.models) > 1 else [{"name": "test", "metrics": opened.metrics}, *opened.targets]
    for table in tables:
        if table["metrics"]:
            console.print(_table(str(table["name"]), table["metrics"], _percent(opened)))
            console.print()
    for comparison in opened.comparisons:
        console.print(_comparison(comparison, _percent(opened)), markup=False)
    if opened.heading and opened.wear:
        console.print(_bound(opened), markup=False)
    console.print(f"[bold]{quotable(opened)}[/bold]")
    for words in opened.not_confined:
        console.print(f"the model's code was not confined: {words}", style="yellow", markup=False)
    for change in changes:
        console.print(f"changed since the freeze: {change}", style="yellow", markup=False)


def _table(name: str, metrics: dict[str, Any], percent: str) -> Table:
    table = plain_table(name, *map(numbers_column, ("value", f"{percent} interval")), "method")
    for metric, entry in metrics.items():
        table.add_row(metric, _number(entry["value"]), _interval(entry), entry["method"])
    return table


def _percent(opened: Opened) -> str:
    return f"{100 * opened.confidence:.4g} %"


def _comparison(comparison: dict[str, Any], percent: str) -> str:
    interval = _interval(comparison)
    between = f" ({percent}: {interval})" if interval else ""
    p = "" if comparison.get("p_holm") is None else f", p (Holm) {comparison['p_holm']:.3g}"
    models = " - ".join(comparison["models"])
    difference = _number(comparison["difference"])
    return f"{comparison['metric']}: {models} = {difference}{between}{p}, {comparison['method']}"


def _bound(opened: Opened) -> str:
    """The adaptive bound: what is left of the test rows after all that was told before; a worst case."""
    wear = opened.wear
    left = f"{wear['bits_before']:.1f} bits were told before: as good as {int(wear['n_eff']):,} fresh rows at worst"
    if "accuracy" not in opened.metrics:
        return f"{left}; there is a bound for accuracy alone, and none for {', '.join(opened.metrics)}"
    return f"{left}; accuracy within {wear['half_width']:.4f}, with probability {1 - wear['delta']:.2f}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else figure(value)


def _interval(entry: dict[str, Any]) -> str:
    return "" if entry["low"] is None else f"{figure(entry['low'])} to {figure(entry['high'])}"
