"""`holdfast export RUN --format FORMAT`: the model of a run as one file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.arguments import Json, Overwrite, Run


def export(
    run: Run,
    form: Annotated[str, typer.Option("--format", help="onnx, torch_export or safetensors.")] = "onnx",
    output: Annotated[Path | None, typer.Option(help="The file; by default below RUN/export.")] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a run's model, preprocessing included, as one file; kept only if it gives the same predictions."""
    from holdfast.inference.checks import check_export

    path = check_export(run, form, output, overwrite=overwrite)
    from holdfast.inference.export import description_path, export_run

    description = export_run(run, form, path, overwrite=overwrite)
    check, rows = description["check"], description["input"]
    if as_json:
        answer = {"file": str(path), "description": str(description_path(path)), "format": form, "check": check}
        print(json.dumps(answer))
        return
    shape = " x ".join(map(str, rows["shape"]))
    agreement = f"max difference {check['max_difference']:.3g} (allowed {check['tolerance']:.3g})"
    print(f"file       {path} ({path.stat().st_size:,} bytes; {rows['dtype']} {shape} rows as stored)")
    print(f"described  {description_path(path)}")
    print(f"check      {agreement} on {check['rows']:,} {check['of']}")
