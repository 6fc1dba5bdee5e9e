"""`holdfast export RUN --format FORMAT`: the model of a run as one file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path

from holdfast.core.terminal import Console
from holdfast.inference.checks import NEEDED, SUFFIXES, check_format, check_new_file, read_predicting_run


def export(run: Path, form: str, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Export a run and say how well the file agrees with it.

    Raises:
        InputError: The folder is no run, the format is unknown, or the file exists.
        RunFailed: The model cannot be exported, or predicts something else there.
    """
    check_format(form, NEEDED)
    record = read_predicting_run(run)
    path = output or run / "export" / f"model{SUFFIXES[form]}"
    check_new_file(path, overwrite=overwrite)
    from holdfast.inference.export import description_path, export_run

    done = export_run(run, form, path, overwrite=overwrite)
    check = {"rows": done.rows, "of": done.rows_from, "max_difference": done.max_difference}
    if as_json:
        described = str(description_path(done.path))
        answer = {"file": str(done.path), "description": described, "format": form}
        print(json.dumps({**answer, "check": {**check, "tolerance": done.tolerance}}))
        return
    console = Console(highlight=False, soft_wrap=True)
    rows = f"{record['data']['dtype']} {_shape(record['data']['row_shape'])}"
    console.print(f"file       {done.path} ({done.path.stat().st_size:,} bytes; {rows} rows as stored)", markup=False)
    console.print(f"described  {description_path(done.path)}", markup=False)
    agreement = f"max difference {done.max_difference:.3g} (allowed {done.tolerance:.3g})"
    console.print(f"check      {agreement} on {done.rows:,} {done.rows_from}", markup=False)


def _shape(shape: list[int]) -> str:
    return " x ".join(["batch", *map(str, shape)])
