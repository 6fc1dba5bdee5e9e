"""`holdfast data inspect ...`: what a data set holds and what would be used of it, without training.

It prepares and seals like `train`: the test rows are set aside before anything is looked at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.utils import instantiate

from holdfast.config.resolve import look_here_last
from holdfast.core.errors import InputError
from holdfast.core.files import write_atomic
from holdfast.core.run_record import now
from holdfast.core.terminal import Console
from holdfast.experiment.compose import compose


def inspect(overrides: Sequence[str], output: Path | None, as_json: bool) -> None:
    """Prepare a data set, look at its train and val rows, and write the page.

    Args:
        overrides: As for `train.py`: `data=csv data.path=houses.csv data.target=price`.
        output: The page; None: `inspect/<name>.html` below `paths.output`.
        as_json: Whether a script reads the answer.

    Raises:
        InputError: An override, the data or the page's place will not do.
        VaultRefused: Rows are sealed in another vault.
    """
    look_here_last()
    config = compose(overrides, reads_rows=True)
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise InputError("--output", f"{output} cannot be written", next="name a file in a folder that exists")
    from holdfast.data.loading.train_val import derive
    from holdfast.data.store.store import prepare
    from holdfast.reporting.data_facts import dataset_facts
    from holdfast.reporting.data_page import data_page
    from holdfast.reporting.data_table import print_data
    from holdfast.reporting.dataset import parts_of
    from holdfast.reporting.pictures import example_strips

    prepared = prepare(config.data, config.split, config.vault, Path.cwd())
    derived = derive(prepared, instantiate(config.split)(), config.data.get("subset"))
    parts = parts_of(prepared, derived, config.data)
    facts = dataset_facts(parts)
    page = output or Path(config.paths.output) / "inspect" / f"{prepared.name}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, data_page(facts, example_strips(parts), now()))
    if as_json:
        print(json.dumps({**facts, "page": str(page)}))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    print_data(facts, console)
    console.print(f"\npage      {page}", markup=False, soft_wrap=True)
