"""`holdfast freeze RUN`: choose a run for the final evaluation; several under `vault=batch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from holdfast import api
from holdfast.cli.arguments import Json
from holdfast.core.figures import figure

if TYPE_CHECKING:
    from holdfast.evaluation.freeze.freezing import Frozen


def freeze(
    runs: Annotated[
        list[Path], typer.Argument(help="The folder of a completed run or ensemble; of several under vault=batch.")
    ],
    criterion: Annotated[
        str | None, typer.Option(help='What must hold on the test rows, such as "accuracy > 0.94".')
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose for the final evaluation: copies the files of a run into a selection."""
    frozen = api.freeze(runs, criterion=criterion)
    if not as_json:
        _tell(frozen)
        return
    answer: dict[str, Any] = {"selection": frozen.selection, "vault": frozen.vault, "val": frozen.val}
    if len(frozen.models) > 1:
        answer["models"] = [{"name": model["name"], "val": model["val"]} for model in frozen.models]
    if frozen.criterion is not None:
        answer["criterion"] = frozen.criterion
    print(json.dumps(answer))


def _tell(frozen: Frozen) -> None:
    console = Console(highlight=False, soft_wrap=True)
    word = "frozen" if frozen.is_new else "frozen before, with the same files"
    console.print(f"selection  [bold]{frozen.selection}[/bold]")
    for model in frozen.models:
        scores = ", ".join(f"{name} {figure(value)}" for name, value in model["val"].items() if value is not None)
        console.print(f"run        {model['folder']} ({word}; its val score is reproduced)", markup=False)
        console.print(f"val        {scores}")
        if model["trials"]:
            console.print(f"trials     one of {model['trials']['runs']} runs in sweep {model['trials']['sweep']}")
    if frozen.criterion:
        console.print(f"criterion  {frozen.criterion}", markup=False)
    console.print(f"vault      {frozen.vault}: sealed")
    console.print(f"next       [bold]holdfast open {frozen.selection[:8]}[/bold]   (the test rows, once)")
