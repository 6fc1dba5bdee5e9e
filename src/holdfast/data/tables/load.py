"""From the blocks of a table to `Rows`: types, targets, digests and warnings, in little memory and mostly in one pass.

Types are taken from the first rows. Where a later row does not fit, or all rows together say something else (a column
of texts that are all numbers, numbers that float32 would make equal), the source is read again with what is known now.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from holdfast.core.errors import InputError
from holdfast.data.first_look import reading_begins
from holdfast.data.formats.types import Conflict
from holdfast.data.rows import Rows
from holdfast.data.tables.build import rows_of
from holdfast.data.tables.problems import check_names, check_settings
from holdfast.data.tables.scan import Pass
from holdfast.data.tables.settings import Plan, TableFile, TableSettings


def load_table(files: Sequence[tuple[TableFile, int | None]], settings: TableSettings, name: str) -> Rows:
    """Read a table.

    Args:
        files: Each with the part that its rows belong to, None where the files do not say.
        settings: What the user says of the columns.
        name: How the source is called in what is shown.

    Raises:
        InputError: The table cannot be used; the line and the column are named.
    """
    check_settings(settings)
    names = files[0][0].column_names()
    if names is not None:
        check_names(settings, names)
    reading_begins()
    texts = {column: "string" for column, kind in settings.types.items() if kind == "category"}
    plan = Plan(texts, frozenset(column for column, kind in settings.types.items() if kind == "number"))
    while True:
        for file, _ in files:
            file.skipped.clear()
        reading = Pass(files, settings, plan)
        try:
            reading.read()
            rows, words = rows_of(reading)
        except Conflict as conflict:
            former, plan = plan, plan.after(conflict)
            if plan == former:
                what = f"column {conflict.column!r} cannot be read as {conflict.type}"
                raise InputError("data.path", what, next=f"data.drop=[{conflict.column}]") from None
            continue
        print(f"holdfast: {name}: {words}", file=sys.stderr, flush=True)
        return rows
