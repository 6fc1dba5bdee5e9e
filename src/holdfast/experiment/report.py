"""The page of a run, with its data and its val rows where the store has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast.config.check import check_recorded
from holdfast.core.errors import HoldfastError, InputError, VaultRefused
from holdfast.core.run_record import best_checkpoint, check_data, read_run


def write_report(run: Path) -> tuple[Path, dict[str, Any]]:
    """Write `report.html` into a run's folder.

    Returns:
        The page, and facts on it: "data", what `data inspect` says of the train and val rows, and "val", what the model
        predicts for val rows, each None where the store has them no more; "without" says why, and is else None.

    Raises:
        InputError: The folder holds no run, one that still goes on, or one whose best checkpoint is gone.
    """
    from holdfast.inference.network import member_folder
    from holdfast.reporting.run_page import write_run_page

    record = read_run(run)
    if record["status"] == "running":
        raise InputError(str(run), "is still running", next="wait for its end")
    if record["best"] and record["best"]["checkpoint"]:
        best_checkpoint(run, record)
    for member in record["ensemble"]["members"] if record["ensemble"] else ():
        member_folder(run, member)
    facts, without = _facts_of_rows(run, record)
    path = write_run_page(run, record, **facts)
    return path, {"data": facts.get("data"), "val": facts.get("val"), "without": without}


def _facts_of_rows(run: Path, record: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Look at data and val rows in the store; the second value says why there is nothing of them, or not all."""
    from holdfast.data.loading.train_val import rows_of_run
    from holdfast.reporting.data_facts import dataset_facts
    from holdfast.reporting.pictures import example_strips

    if not record["data"]:
        return {}, "the run ended before its rows were prepared"
    check_data(run, record)
    config = record["config"]
    try:
        check_recorded(config, ("split",))
        rows = rows_of_run(config["split"], record["data"])
        data = dataset_facts(rows, config["data"].get("target"))
        facts: dict[str, Any] = {"data": data, "strips": example_strips(rows)}
    except HoldfastError as error:
        return {}, str(error)
    if record["best"]:
        from holdfast.inference.val_rows import val_facts

        try:
            facts["val"] = val_facts(run, rows.prepared.x, rows.prepared.y, rows.val)
        except VaultRefused:  # a member was changed since the ensemble was made
            raise
        except HoldfastError as error:
            return facts, f"no predictions ({error})"
    return facts, None
