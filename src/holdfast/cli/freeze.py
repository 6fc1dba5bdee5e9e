"""`holdfast freeze RUN`: choose a run for the final evaluation; several under `vault=batch`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast import api
from holdfast.core.figures import figure
from holdfast.core.terminal import Console
from holdfast.evaluation.freeze.freezing import Frozen


def freeze(runs: Path | Sequence[Path], as_json: bool, criterion: str | None = None) -> int:
    """Freeze runs together and say what was frozen.

    Raises:
        InputError: One is no completed run, or they cannot be compared.
        VaultRefused: One cannot be frozen as it is.
        RunFailed: Its models do not predict.
    """
    runs = [runs] if isinstance(runs, Path) else list(runs)
    frozen = api.freeze(runs, criterion=criterion)
    if as_json:
        answer: dict[str, Any] = {"selection": frozen.selection, "vault": frozen.vault, "val": frozen.val}
        if len(frozen.models) > 1:
            answer["models"] = [{"name": model["name"], "val": model["val"]} for model in frozen.models]
        if frozen.criterion is not None:
            answer["criterion"] = frozen.criterion
        print(json.dumps(answer))
    else:
        _tell(frozen)
    return 0


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
