"""`holdfast predict RUN --input FILE --output FILE`: a run applied to new rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli.arguments import Json, Overwrite, Run
from holdfast.core.errors import InputError, require
from holdfast.core.files import check_new_file
from holdfast.core.terminal import Console


def predict(
    run: Run,
    *,
    input: Annotated[list[Path], typer.Option(help="A table, a folder of images, images, or an array.")],
    output: Annotated[Path, typer.Option(help="A new table: csv, tsv, parquet or jsonl.")],
    id: Annotated[str | None, typer.Option(help="The column that names the rows; by default they are counted.")] = None,
    batch_size: Annotated[int, typer.Option(help="Rows in one forward pass.")] = 1024,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Apply a run, or a selection by its id, to new rows: predictions and probabilities, with the rows' ids."""
    from holdfast.evaluation.selections import run_folder
    from holdfast.inference.checks import read_predicting_run
    from holdfast.inference.tables import column_names

    run = run_folder(run)
    record = read_predicting_run(run)
    data = record["data"]
    _check(input, output, batch_size, overwrite=overwrite)
    names = column_names(data["task"], data["class_names"], is_ensemble=record["kind"] == "ensemble")
    is_array = input[0].suffix.lower() in (".npy", ".npz", ".safetensors")
    id_name = id or ("path" if data["kind"] == "image" and not is_array else "row")
    if id_name in names:
        raise InputError("--id", f"is {id_name!r}, a name that the output has for something else")
    from holdfast.data.new_rows import read_like
    from holdfast.inference.predict import predict_blocks

    blocks = read_like(data, input, id_column=id, settings=record["config"].get("data"))
    with _progress() as on_rows:
        options: dict[str, Any] = {"batch_size": batch_size, "overwrite": overwrite}
        rows = predict_blocks(run, data, blocks, output, id_name=id_name, on_rows=on_rows, **options)
    columns = [id_name, *names]
    if as_json:
        print(json.dumps({"output": str(output), "rows": rows, "columns": columns}))
        return
    shown = columns if len(names) <= 8 else [*columns[:7], f"... ({len(columns)} in all)"]
    print(f"output     {output} ({rows:,} rows)")
    print(f"columns    {', '.join(shown)}")


def _check(inputs: Sequence[Path], output: Path, batch_size: int, *, overwrite: bool) -> None:
    from holdfast.inference.tables import check_suffix

    check_suffix(output)
    require(batch_size >= 1, "--batch-size", batch_size, "1 or more")
    for path in inputs:
        if not path.exists():
            raise InputError("--input", f"{path} does not exist")
        if output.exists() and path.samefile(output):
            raise InputError("--output", f"{output} is the input", next="name another file")
    check_new_file(output, overwrite=overwrite)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Rows done and rows per second, on a terminal only."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("predict", total=None)
        yield lambda count: progress.advance(task, count)
