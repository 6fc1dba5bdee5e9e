"""The manifest of a vault: what is sealed, in the open. The ledger's first entry and every sealed chunk bind its hash.

`vaults/<vault>/manifest.json` (canonical JSON, never changed after sealing):

    version, vault, created, name        3; 32 hex digits; UTC; the data set's name
    source, kind, task, class_names      how the rows came in and what they are; `target`: what is predicted
    content                              identity of all rows with their targets
    columns                              the columns of a table that a row is known by; none where they have no names
    cell_columns                         those whose cells are hashed (`vault.rows.cell_hashes`)
    sketch                               of all rows (`vault.rows.digest_sets`): who has most of them goes on with it
    test_rule, strata                    the rule that chose the rows; [{"stratum", "test", "cut"}] where it keeps cuts
    first_time                           of the test rows, where the rule is by time
    policy, public_key                   {"policy", "k", "key_mode"}; the key that keys are wrapped for
    keys                                 {"mode", "check": {"x", "y"}}; wrapped.json, if any, has what unwraps them
    num_test, num_development            counts of rows
    parts                                {"x": layout (`data.rows`), "y": {"dtype", "shape"}} of the sealed files
    fingerprints                         {"contents", "distinct", "ambiguous", "check"}: counts of records, and the key
    counts                               leaks across the split that were found when sealing, as counts
    replaces                             vaults whose rows these are, sealed anew before their first freeze
    shares                               vaults over the same test rows with another target
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

VERSION = 3
FILE_NAME = "manifest.json"
MAX_BYTES = 2**28
DEVELOPMENT_FILE = "development.bin"  # <u8, ascending: the keys (`vault.rows.digest_sets`) of all train and val rows
GROUPS_FILE = "groups.bin"  # <i8, the group of every sealed row, where groups were declared
FIELDS = {
    *("version", "vault", "created", "name", "source", "kind", "task", "class_names", "target", "content", "columns"),
    *("cell_columns", "sketch", "test_rule", "strata", "first_time", "policy", "public_key", "keys", "num_test"),
    *("num_development", "parts", "fingerprints", "counts", "replaces", "shares", "lineage", "framework"),
}


def folder_of(vault: str) -> Path:
    """The folder of a vault."""
    return places.vaults() / vault


def read_manifest(vault: str) -> dict[str, Any]:
    """The manifest in the folder of a vault; errors as of `parse_manifest`."""
    return parse_manifest(folder_of(vault) / FILE_NAME)[0]


def parse_manifest(path: Path) -> tuple[dict[str, Any], str]:
    """The manifest in a file, and its SHA-256.

    Raises:
        VaultRefused: It is missing or not of a form known here.
    """
    try:
        content = read_plain(path, MAX_BYTES)
        fields = json.loads(content)
        if fields["version"] != VERSION or fields.keys() != FIELDS:
            raise ValueError(f"known here is version {VERSION}")
        if not isinstance(fields["columns"], list) or not all(isinstance(name, str) for name in fields["columns"]):
            raise ValueError("columns is no list of names")
    except OSError as error:
        hint = "restore the vault's folder from a copy"
        raise VaultRefused(str(path), f"the manifest cannot be read ({error.strerror})", next=hint) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VaultRefused(str(path), f"is no manifest: {error}") from None
    return fields, sha256_hex(content)
