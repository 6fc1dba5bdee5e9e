"""The manifest of a vault: what is sealed, in the open. The ledger's first entry and every sealed chunk bind its hash.

`vaults/<vault>/manifest.json` (canonical JSON, never changed after sealing):

    version, vault, created, name        2; 32 hex digits; UTC; the data set's name
    source, kind, task, class_names      how the rows came in and what they are
    content, rows, cells                 identity of all rows with targets; without; whichever column is the target
    columns                              the columns of a table that `rows` is over; none where they have no names
    claim                                identity of what exactly is sealed
    test_rule, strata                    the rule that chose the rows; [{"stratum", "test", "cut"}] where it keeps cuts
    policy                               {"policy", "k", "key_mode"}
    keys                                 {"mode", "check": {"x", "y"}}; wrapped.json, if any, has what unwraps them
    num_test, num_development            counts of rows
    parts                                {"x": {"dtype", "shape"}, "y": ...}: what the sealed files decrypt to
    fingerprints                         {"forms", "distinct", "ambiguous", "sha256", "check"}: the file and its key
    counts                               leaks across the split that were found when sealing, as counts
    replaces                             vaults whose rows these are, sealed anew before their first freeze
    lineage                              vaults that had some of these rows and were superseded or destroyed
    framework                            {"version", "code_sha256"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from holdfast.core import places
from holdfast.core.errors import VaultRefused
from holdfast.core.files import read_plain, sha256_hex

VERSION = 2
FILE_NAME = "manifest.json"
MAX_BYTES = 2**28
GROUPS_FILE = "groups.bin"  # <i8, the group of every sealed row, where groups were declared
FIELDS = frozenset(
    (
        *("version", "vault", "created", "name", "source", "kind", "task", "class_names", "content", "rows"),
        *(
            "cells",
            "columns",
            "claim",
            "test_rule",
            "strata",
            "policy",
            "keys",
            "num_test",
            "num_development",
            "parts",
            "fingerprints",
            "counts",
        ),
        *("replaces", "lineage", "framework"),
    )
)


def folder_of(vault: str) -> Path:
    """Where a vault lies."""
    return places.vaults() / vault


def read_manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """The manifest in a vault's folder, and its SHA-256.

    Raises:
        VaultRefused: It is missing or not of a form known here.
    """
    path = folder / FILE_NAME
    try:
        content = read_plain(path, MAX_BYTES)
        fields = json.loads(content)
    except OSError as error:
        hint = "restore the vault's folder from a copy"
        raise VaultRefused(str(path), f"the manifest cannot be read ({error.strerror})", next=hint) from None
    except (ValueError, RecursionError) as error:
        raise VaultRefused(str(path), f"is no manifest: {error}") from None
    if not isinstance(fields, dict) or fields.get("version") != VERSION or set(fields) != FIELDS:
        raise VaultRefused(str(path), "is no manifest of a version known here", allowed=f"version {VERSION}")
    columns = fields["columns"]
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise VaultRefused(str(path), "is no manifest: columns is no list of names")
    return fields, sha256_hex(content)
