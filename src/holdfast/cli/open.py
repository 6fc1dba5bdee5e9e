"""`holdfast open SELECTION`: the final stage."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from holdfast.evaluation.final import Opened, open_vault


def open_selection(selection: str, as_json: bool) -> int:
    """Evaluate a frozen selection on the sealed test rows and print the answer.

    Raises:
        InputError: No such selection.
        VaultRefused: The vault refuses.
        RunFailed: The models failed on the test rows.
    """
    opened, changes = open_vault(selection)
    if as_json:
        print(json.dumps(opened.as_dict()))
    else:
        _tell(opened, changes)
    return 0


def quotable(opened: Opened) -> str:
    """The line for a paper: the first metric with its interval, and where it comes from."""
    name = "accuracy" if "accuracy" in opened.metrics else "rmse"
    entry = opened.metrics[name]
    if entry["low"] is None:
        value = f"{entry['value']:.4g}" if entry["value"] is not None else "undefined"
    else:
        low, high = 100 * entry["low"], 100 * entry["high"]
        value = f"{100 * entry['value']:.2f} % [{low:.2f}, {high:.2f}] {entry['method'].capitalize()} 95 %"
    where = f"vault {opened.vault[:8]}, selection {opened.selection[:8]}, head {opened.head[:8]}"
    return f"test {name} {value}, n = {opened.n:,}, opening {opened.opening} of {opened.opening}, {where}"


def _tell(opened: Opened, changes: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if opened.replayed:
        console.print("[dim]repeated from the ledger; nothing was decrypted[/dim]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("test")
    for column in ("value", "95 % interval"):
        table.add_column(column, justify="right")
    table.add_column("method")
    for name, entry in opened.metrics.items():
        table.add_row(name, _number(entry["value"]), _interval(entry), entry["method"])
    console.print(table)
    console.print()
    console.print(f"[bold]{quotable(opened)}[/bold]")
    for change in changes:
        console.print(f"changed since the freeze: {change}", style="yellow", markup=False)
    console.print("next       holdfast vault verify   (checks the ledger; the same selection repeats this answer)")


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _interval(entry: dict[str, Any]) -> str:
    return "" if entry["low"] is None else f"{entry['low']:.4f} to {entry['high']:.4f}"
