"""A process that knows sealed rows by their digests: `python -m holdfast.vault.known_rows_process`.

The key of the fingerprints stays in it: who trains hands over digests, which anybody can take, and is told how many of
them are of sealed rows. Where there are some, that is noted in the ledger before it is told.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from holdfast.core import child
from holdfast.core.messages import Array, Header
from holdfast.vault import known_rows, registry
from holdfast.vault.rows.digest_sets import Fingerprints


def answer(header: Header, arrays: list[Array]) -> tuple[Header, Sequence[Array]]:
    """Count the sealed rows among those whose digests are given.

    Args:
        header: "run", the name of it; "viewed", a file in a folder of the vault's rows with the fingerprints of the
            sealed rows as the run's view shows them, or null.
        arrays: The digests.

    Returns:
        {"rows", "vault"}, the vault being the one with most of them, and no array.
    """
    (digests,), viewed = arrays, header["viewed"]
    counts = known_rows.count_sealed([digests])
    if viewed is not None and Path(viewed).stat().st_size:
        vault = Path(viewed).parents[2].name[:32]
        sealed = Fingerprints(Path(viewed), known_rows.fingerprint_key(vault))
        counts[vault] = max(counts.get(vault, 0), int(sealed.are_sealed(digests).sum()))
    vault = max(counts, key=lambda known: counts[known], default="")
    if not counts.get(vault):
        return {"rows": 0, "vault": ""}, ()
    reason = "sealed rows were handed to a model while it was trained"
    registry.note_refusal(vault, {"reason": reason, "run": header["run"], "rows": counts[vault]})
    return {"rows": counts[vault], "vault": vault}, ()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides
    raise SystemExit(child.answer_questions(answer))
