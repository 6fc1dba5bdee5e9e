"""`holdfast diff A B`: what differs between two runs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from holdfast.cli.arguments import Json, Run
from holdfast.core.run_record import read_run
from holdfast.core.terminal import Console


def diff(first: Run, second: Run, as_json: Json = False) -> None:
    """List what differs between two runs: config, seed, code, data, environment and result."""
    from holdfast.reporting.diff import conclusion, differences, print_rows

    rows = differences(read_run(first), read_run(second))
    if as_json:
        print(json.dumps({"differences": [asdict(row) for row in rows], "conclusion": conclusion(rows)}))
        return
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    print_rows(rows, first.name, second.name, console)
    console.print(conclusion(rows), markup=False)
