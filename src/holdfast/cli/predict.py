"""`holdfast predict RUN --input FILE --output FILE`: a run applied to new rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.core.errors import InputError
from holdfast.core.terminal import Console
from holdfast.evaluation.selections import run_folder
from holdfast.inference.checks import check_new_file, read_predicting_run
from holdfast.inference.tables import check_suffix, column_names


def predict(
    run: Path,
    inputs: Sequence[Path],
    output: Path,
    *,
    id_column: str | None,
    batch_size: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Predict the rows of a file, or of a folder of images, by a run or a selection, and say what was written.

    Raises:
        InputError: The folder is no run, or the input or the output will not do.
        VaultRefused: Rows are sealed in a vault.
    """
    run = run_folder(run)
    record = read_predicting_run(run)
    data = record["data"]
    _check(inputs, output, batch_size, overwrite=overwrite)
    names = column_names(data["task"], data["class_names"])
    id_name = id_column or ("path" if data["kind"] == "image" and not _is_array(inputs) else "row")
    if id_name in names:
        raise InputError("--id", f"is {id_name!r}, a name that the output has for something else")
    from holdfast.data.new_rows import read_like
    from holdfast.inference.predict import predict_blocks

    blocks = read_like(data, inputs, id_column=id_column, settings=record["config"].get("data"))
    with _progress() as on_rows:
        rows = predict_blocks(
            *(run, data, blocks, output), id_name=id_name, batch_size=batch_size, overwrite=overwrite, on_rows=on_rows
        )
    if as_json:
        print(json.dumps({"output": str(output), "rows": rows, "columns": [id_name, *names]}))
        return
    columns = ", ".join(
        [id_name, *names] if len(names) <= 8 else [id_name, *names[:6], f"... ({len(names) + 1} in all)"]
    )
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"output     {output} ({rows:,} rows)", markup=False)
    console.print(f"columns    {columns}", markup=False)


def _check(inputs: Sequence[Path], output: Path, batch_size: int, *, overwrite: bool) -> None:
    check_suffix(output)
    if batch_size < 1:
        raise InputError("--batch-size", f"is {batch_size}", allowed="1 or more")
    for path in inputs:
        if not path.exists():
            raise InputError("--input", f"{path} does not exist")
        if output.exists() and path.samefile(output):
            raise InputError("--output", f"{output} is the input", next="name another file")
    check_new_file(output, overwrite=overwrite)
    if not output.absolute().parent.is_dir():
        raise InputError("--output", f"{output.parent} is no folder", next="make it first")


def _is_array(inputs: Sequence[Path]) -> bool:
    return inputs[0].suffix.lower() in (".npy", ".npz", ".safetensors")


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Rows done and rows per second, on a terminal only."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("predict", total=None)
        yield lambda count: progress.advance(task, count)
