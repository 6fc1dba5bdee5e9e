"""A process that knows sealed rows by their digests: `python -m holdfast.vault.known_rows_process RUN [FILE]`.

FILE has the fingerprints of the sealed rows as the run's view shows them, and lies in a folder of the vault's rows.

The key of the fingerprints stays in it: who trains hands over digests, which anybody can take, and is told how many of
them are of sealed rows. Where there are some, that is noted in the ledger before it is told.

In: 8 bytes with the number of digests, then these; again and again until stdin ends. Out: a line of JSON each,
{"rows", "vault"}, the vault being the one with most of them, or {"error"}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import HoldfastError
from holdfast.vault import known_rows
from holdfast.vault.ledger import refusals
from holdfast.vault.rows.fingerprints import Fingerprints
from holdfast.vault.rows.identity import DIGEST_BYTES


def main(run: str, viewed: Path | None = None) -> int:
    """Answer until stdin ends."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    while len(head := sys.stdin.buffer.read(8)) == 8:
        content = sys.stdin.buffer.read(int.from_bytes(head, "big") * DIGEST_BYTES)
        digests = np.frombuffer(content, np.uint8).reshape(-1, DIGEST_BYTES)
        try:
            told = _recognise(digests, run, viewed)
        except HoldfastError as error:
            told = {"error": str(error)}
        answer.write(json.dumps(told) + "\n")
        answer.flush()
    return 0


def _recognise(digests: NDArray[np.uint8], run: str, viewed: Path | None) -> dict[str, Any]:
    counts = known_rows.count_sealed([digests])
    if viewed is not None and viewed.stat().st_size:
        vault = viewed.parents[2].name[:32]
        sealed = Fingerprints(viewed, known_rows.fingerprint_key(vault))
        counts[vault] = max(counts.get(vault, 0), int(sealed.are_sealed(digests).sum()))
    vault = max(counts, key=lambda one: counts[one], default="")
    if not counts.get(vault):
        return {"rows": 0, "vault": ""}
    body = {"reason": "sealed rows were handed to a model while it was trained", "run": run, "rows": counts[vault]}
    refusals.note_refusal(vault, body)
    return {"rows": counts[vault], "vault": vault}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], *map(Path, sys.argv[2:])))
