"""`holdfast data inspect ...`: what a data set holds and what would be used of it, without training.

It prepares and seals like `train`: the test rows are set aside before anything is looked at.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.arguments import Json, Overrides
from holdfast.config.resolve import build_option, import_from_here
from holdfast.core.files import check_new_file, write_atomic
from holdfast.core.run_record import now
from holdfast.core.terminal import Console


def inspect(
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option(help="The page; by default below outputs/inspect.")] = None,
    as_json: Json = False,
) -> None:
    """Prepare a data set as training would, and show classes, columns, missing values, examples and leak checks."""
    from holdfast.experiment.compose import compose

    import_from_here()
    config = compose(overrides or [], reads_rows=True)
    if output is not None:
        check_new_file(output, overwrite=True)
    from holdfast.data.loading.train_val import derive
    from holdfast.experiment.experiment import Experiment
    from holdfast.reporting.data_facts import dataset_facts
    from holdfast.reporting.data_page import data_page
    from holdfast.reporting.data_table import print_data
    from holdfast.reporting.pictures import example_strips
    from holdfast.training.first_batch import batch_facts

    datamodule = Experiment(config, Path()).prepare()
    prepared = datamodule.prepared
    rows = derive(prepared, build_option(config.split)(), config.data.get("subset"))
    facts, batch = dataset_facts(rows, config.data.get("target")), batch_facts(config, datamodule)
    page = output or Path(config.paths.output) / "inspect" / f"{prepared.name}-{prepared.folder.name[:8]}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, data_page(facts, example_strips(rows), batch, now()))
    if as_json:
        batch.pop("picture", None)
        print(json.dumps({**facts, "batch": batch, "page": str(page)}))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    print_data(facts, batch, console)
    console.print(f"\npage      {page}", markup=False, soft_wrap=True)
