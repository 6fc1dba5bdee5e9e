"""`holdfast report RUN`: the page of a run, with its data and its val rows where the store has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console

from holdfast.config.check import check_recorded
from holdfast.core.errors import HoldfastError, InputError
from holdfast.core.run_record import read_run


def report_run(run: Path, as_json: bool) -> None:
    """Write `report.html` into a run's folder and say what is in it.

    Raises:
        InputError: The folder holds no run, or one that still goes on.
    """
    from holdfast.reporting.run_page import write_run_page

    record = read_run(run)
    if record["status"] == "running":
        raise InputError(str(run), "is still running", next="wait for its end")
    found, without = _from_the_store(run, record)
    path = write_run_page(run, record, **found)
    if as_json:
        data, val = found.get("data"), found.get("val")
        print(json.dumps({"html": str(path), "data": data, "val": val, "without": without}))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"html      {path}", markup=False)
    if without:
        console.print(f"without   data and val rows: {without}", markup=False)


def _from_the_store(run: Path, record: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """What the page has of data and val rows; or why it has nothing of them."""
    from holdfast.data.store.store import open_prepared, val_sha256
    from holdfast.reporting.dataset import dataset_facts, parts_of
    from holdfast.reporting.pictures import example_strips

    if not record["data"]:
        return {}, "the run ended before its rows were prepared"
    config = record["config"]
    try:
        check_recorded(config, ("split",))
        prepared = open_prepared(record["data"]["rows"])
        parts = parts_of(prepared, instantiate(OmegaConf.create(config["split"]))(), config["data"])
        if val_sha256(prepared, parts.val) != record["data"]["val_sha256"]:
            return {}, "the rows in the store are not those of the run"
        found: dict[str, Any] = {"data": dataset_facts(parts), "strips": example_strips(parts)}
    except HoldfastError as error:
        return {}, str(error)
    if record["best"] and "row_shape" in record["data"]:
        from holdfast.inference.val_rows import val_facts

        try:
            found["val"] = val_facts(run, prepared.x, prepared.y, parts.val)
        except HoldfastError as error:
            return found, f"no predictions ({error})"
    return found, None
