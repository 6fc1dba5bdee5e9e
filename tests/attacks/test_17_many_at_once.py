"""Attack 17: many processes open at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import STEPS, Frozen, ledger_types

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("num_selections", [1, 2])
def test_four_openings_at_once_spend_one(
    frozen: Frozen, project: Path, environment: dict[str, str], num_selections: int
) -> None:
    selections = frozen(num_selections)
    command = [sys.executable, "-m", "holdfast.cli.main", "open", "--json"]
    processes = [
        subprocess.Popen(
            [*command, selections[index % num_selections]], cwd=project, env=environment, stdout=subprocess.PIPE
        )
        for index in range(4)
    ]
    answers = [json.loads(process.communicate()[0]) for process in processes]
    codes = sorted(process.returncode for process in processes)
    opened = [answer for answer in answers if "error" not in answer]
    assert codes == ([0] * 4 if num_selections == 1 else [0, 0, 3, 3])
    assert sum(not answer["replayed"] for answer in opened) == 1
    assert len({answer["head"] for answer in opened}) == 1
    types = ledger_types(Path(environment["HOLDFAST_HOME"]))
    assert [type for type in types if type.startswith("open.")] == STEPS
