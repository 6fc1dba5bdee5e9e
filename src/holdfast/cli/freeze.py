"""`holdfast freeze RUN`: choose a run for the final evaluation."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from holdfast.evaluation.freezing import Frozen, freeze_run


def freeze(run: Path, as_json: bool) -> int:
    """Freeze a run and say what was frozen.

    Raises:
        InputError: It is no completed run.
        VaultRefused: It cannot be frozen as it is.
        RunFailed: Its models do not predict.
    """
    frozen = freeze_run(run)
    if as_json:
        print(json.dumps({"selection": frozen.selection, "vault": frozen.vault, "val": frozen.val}))
    else:
        _tell(frozen, run)
    return 0


def _tell(frozen: Frozen, run: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in frozen.val.items() if value is not None)
    word = "frozen" if frozen.is_new else "frozen before, with the same files"
    console.print(f"selection  [bold]{frozen.selection}[/bold]")
    console.print(f"run        {run} ({word}; its val score is reproduced)", markup=False)
    console.print(f"val        {scores}")
    console.print(f"vault      {frozen.vault}: sealed")
    console.print(f"next       [bold]holdfast open {frozen.selection[:8]}[/bold]   (the test rows, once)")
