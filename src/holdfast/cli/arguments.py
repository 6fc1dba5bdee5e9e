"""Arguments and options that several verbs of the console script share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[list[str] | None, typer.Argument(help="As for train.py: model=cnn data=mnist data.path=DIR ...")]
Selection = Annotated[
    str, typer.Argument(metavar="SELECTION", help="A selection's id, or eight or more of its first digits.")
]
Vault = Annotated[str, typer.Argument(metavar="VAULT", help="A vault's id, or eight or more of its first digits.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence: it stays in the ledger.")]
KeyFile = Annotated[Path | None, typer.Option(help="The private key, where a vault was sealed for one.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run or of an ensemble.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
Json = Annotated[bool, typer.Option("--json", help="Answer for a script, on stdout.")]
