"""`holdfast diff A B`: what differs between two runs."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from holdfast.cli.arguments import Json, Run


def diff(first: Run, second: Run, as_json: Json = False) -> None:
    """List what differs between two runs: config, seed, code, data, environment and result."""
    from holdfast.reporting.diff import compare_runs, print_differences

    if as_json:
        print(json.dumps(compare_runs(first, second)))
    else:
        print_differences(first, second, Console(width=None if sys.stdout.isatty() else 200))
