"""`holdfast report SELECTION`: write the report of a selection and say where it is."""

from __future__ import annotations

import json

from rich.console import Console

from holdfast.evaluation.opening.report import gather, write_report
from holdfast.evaluation.selections import find_selection


def report(prefix: str, as_json: bool) -> int:
    """Write the report, HTML and JSON; nothing is decrypted.

    Raises:
        InputError: No such selection.
        VaultRefused: The selection or its ledger is not what it was.
    """
    vault, selection = find_selection(prefix)
    paths = write_report(vault, selection)
    facts = gather(vault, selection)
    if as_json:
        told = {name: str(path) for name, path in paths.items()}
        print(
            json.dumps(
                {"selection": selection, "vault": vault, "state": facts["state"], "quote": facts["quote"], **told}
            )
        )
        return 0
    console = Console(highlight=False, soft_wrap=True)
    if facts["quote"]:
        console.print(facts["quote"], style="bold", markup=False)
    for name, path in paths.items():
        console.print(f"{name:10} {path}", markup=False)
    if facts["state"] == "frozen":
        console.print(f"next       holdfast open {selection[:8]}   (the test rows are still sealed)")
    return 0
