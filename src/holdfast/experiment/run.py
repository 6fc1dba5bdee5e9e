"""A run that has ended, or goes on in another process: its record, its model, its predictions, its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.config.check import check_recorded
from holdfast.core.errors import HoldfastError, InputError, VaultRefused
from holdfast.core.run_record import best_checkpoint, check_data, read_run

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn


class Run:
    """The folder of a run, or of an ensemble, where `run.json` lies."""

    def __init__(self, folder: Path | str) -> None:
        """Look at a folder.

        Raises:
            InputError: It holds no run.
        """
        self.folder = Path(folder)
        read_run(self.folder)

    @property
    def record(self) -> dict[str, Any]:
        """The whole of `run.json`, as it is now (`docs/formats.md` describes it)."""
        return read_run(self.folder)

    @property
    def status(self) -> str:
        """One of "running", "completed", "pruned", "failed" and "interrupted"."""
        return str(self.record["status"])

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config."""
        config: dict[str, Any] = self.record["config"]
        return config

    @property
    def metrics(self) -> dict[str, float]:
        """Val metrics of the best epoch by name; empty where no epoch was completed."""
        return dict((self.record["best"] or {}).get("metrics") or {})

    @property
    def value(self) -> float | None:
        """The monitored metric of the best epoch: what a sweeper minimises or maximises."""
        value: float | None = (self.record["best"] or {}).get("value")
        return value

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: `epoch`, `step`, `lr`, `seconds` and the metrics of train and val."""
        import pandas as pd

        return pd.DataFrame(self.record["history"])

    def model(self) -> nn.Module:
        """Restore what predicts, on the CPU and in evaluation mode.

        It takes rows as they are stored, (n, ...), and gives float32: (n, classes) or (n, labels) probabilities, (n,)
        the probability of the second class, or (n,) values in original units.

        Raises:
            InputError: A checkpoint is missing or damaged, or the run was not trained to predict.
        """
        from holdfast.inference.network import load_run

        return load_run(self.folder).network

    def predict(self, rows: Any, *, batch_size: int = 1024) -> pd.DataFrame:
        """Predict new rows.

        Args:
            rows: A DataFrame or an Arrow table with the columns that the run was trained on, in any order; or an array
                (n, ...) laid out like the rows that it was trained on.
            batch_size: Rows in one forward pass.

        Returns:
            One row for each of `rows`, with its index: `prediction` first (the class, the value; for labels one
            `prediction_<label>` each), then a `probability_<class>` for each class. An ensemble adds how sure it is:
            `entropy` and `disagreement`, or the `spread` of values (`inference.tables.columns_of_doubt`).

        Raises:
            InputError: A column is missing, or a cell cannot be read.
            VaultRefused: A row is sealed in a vault.
        """
        from holdfast.inference.predict import predict_frame

        return predict_frame(self.folder, rows, batch_size=batch_size)

    def report(self) -> Path:
        """Write `report.html` into the folder, with data and val rows where the store has them; returns its path."""
        return write_report(self.folder)[0]

    def _repr_html_(self) -> str:
        """Show the run in a notebook: its page, in a frame of its own."""
        from html import escape

        page = self.folder / "report.html"
        content = page.read_text(encoding="utf-8") if page.exists() else self.report().read_text(encoding="utf-8")
        style = "width:100%;height:640px;border:0"
        return f'<iframe srcdoc="{escape(content)}" style="{style}" title="{escape(self.folder.name)}"></iframe>'

    def __repr__(self) -> str:
        record = self.record
        best = record["best"] or {}
        score = f", {best['monitor']} {best['value']:.6g}" if best.get("value") is not None else ""
        return f"Run({str(self.folder)!r}, {record['status']}{score})"


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
