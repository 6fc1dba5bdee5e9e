"""`holdfast export RUN --format FORMAT`: the model of a run as one file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.arguments import Json, Overwrite, Run
from holdfast.core.files import check_new_file


def export(
    run: Run,
    form: Annotated[str, typer.Option("--format", help="onnx, torch_export or safetensors.")] = "onnx",
    output: Annotated[Path | None, typer.Option(help="The file; by default below RUN/export.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a run's model, preprocessing included, as one file; kept only if it gives the same predictions."""
    from holdfast.inference.checks import SUFFIXES, check_format, read_predicting_run

    check_format(form)
    data = read_predicting_run(run)["data"]
    path = output or run / "export" / f"model{SUFFIXES[form]}"
    check_new_file(path, overwrite=overwrite)
    from holdfast.inference.export import description_path, export_run

    done = export_run(run, form, path, overwrite=overwrite)
    if as_json:
        check = {"rows": done.rows, "of": done.rows_from, "max_difference": done.max_difference}
        answer = {"file": str(done.path), "description": str(description_path(done.path)), "format": form}
        print(json.dumps({**answer, "check": {**check, "tolerance": done.tolerance}}))
        return
    shape = " x ".join(["batch", *map(str, data["row_shape"])])
    agreement = f"max difference {done.max_difference:.3g} (allowed {done.tolerance:.3g})"
    print(f"file       {done.path} ({done.path.stat().st_size:,} bytes; {data['dtype']} {shape} rows as stored)")
    print(f"described  {description_path(done.path)}")
    print(f"check      {agreement} on {done.rows:,} {done.rows_from}")
