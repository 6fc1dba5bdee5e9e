"""`holdfast report RUN|SELECTION`: write the page of a run, or the report of a selection, and say where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.arguments import Json
from holdfast.core.terminal import Console


def report(
    selection: Annotated[str, typer.Argument(help="The folder of a run, or a selection's id.")], as_json: Json = False
) -> None:
    """Write the report of a run into its folder, or that of a selection beside it; nothing is decrypted."""
    if Path(selection).is_dir() or "/" in selection:
        _report_run(Path(selection), as_json)
    else:
        _report_selection(selection, as_json)


def _report_run(run: Path, as_json: bool) -> None:
    from holdfast.experiment.run import write_report

    path, facts = write_report(run)
    if as_json:
        print(json.dumps({"html": str(path), **facts}))
        return
    print(f"html      {path}")
    if facts["without"]:
        print(f"without   data and val rows: {facts['without']}")


def _report_selection(prefix: str, as_json: bool) -> None:
    from holdfast.evaluation.opening.report import gather, write_report
    from holdfast.evaluation.selections import find_selection

    vault, selection = find_selection(prefix)
    paths = write_report(vault, selection)
    facts = gather(vault, selection)
    if as_json:
        answer = {"selection": selection, "vault": vault, "state": facts["state"], "quote": facts["quote"]}
        print(json.dumps({**answer, **{name: str(path) for name, path in paths.items()}}))
        return
    console = Console(highlight=False, soft_wrap=True)
    if facts["quote"]:
        console.print(facts["quote"], style="bold", markup=False)
    for name, path in paths.items():
        console.print(f"{name:10} {path}", markup=False)
    if facts["state"] == "frozen":
        console.print(f"next       holdfast open {selection[:8]}   (the test rows are still sealed)")
