"""One entry of a ledger: its fields, and what is wrong with one that is malformed.

An entry is canonical JSON, at most 1 MiB:

    version, index, prev, vault, type         1; from 0; 64 hex digits; the vault's id; one of `TYPES`
    time, boot_id, monotonic, host, user, pid, uuid     who wrote it and when; informative
    framework                                 {"version", "code_sha256"} of the holdfast that wrote it
    selection, opening                        what is frozen or opened, and the opening's number; else null
    bits, total_bits                          what this entry tells about the test rows, and all up to it
    body                                      an object, by type
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.core.files import canonical_json

VERSION = 1
TYPES = (
    *("seal", "freeze", "withdraw", "open.intent", "open.predicted", "open.result", "open.mismatch"),
    *("disclose", "refused", "supersede", "destroy", "anchor", "verify"),
)
MAX_ENTRY_BYTES = 2**20
HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One entry as it lies in its file; `sha256` is the head when it is the last."""

    sha256: str
    fields: Mapping[str, Any]

    @property
    def index(self) -> int:
        """Its place in the chain, from 0."""
        return int(self.fields["index"])

    @property
    def type(self) -> str:
        """One of `TYPES`."""
        return str(self.fields["type"])

    @property
    def selection(self) -> str | None:
        """The selection it is about, if any."""
        return self.fields["selection"]  # type: ignore[no-any-return]

    @property
    def body(self) -> Mapping[str, Any]:
        """The fields that belong to the type of the entry."""
        return self.fields["body"]  # type: ignore[no-any-return]


def parse_entry(content: bytes) -> dict[str, Any]:
    """The fields of an entry in canonical form.

    Raises:
        ValueError: With the reason in one sentence.
    """
    if len(content) > MAX_ENTRY_BYTES:
        raise ValueError(f"is larger than {MAX_ENTRY_BYTES} bytes")
    fields = json.loads(content.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    if not isinstance(fields, dict):
        raise ValueError("is no JSON object")
    if fields.get("version") != VERSION or fields["version"] is True:
        raise ValueError(f"has version {fields.get('version')!r}, known is {VERSION}")
    if fields.get("type") not in TYPES:
        raise ValueError(f"has the unknown type {fields.get('type')!r}"[:200])
    if set(fields) != CHECKS.keys():
        raise ValueError(f"its fields are not the known ones: {sorted(CHECKS.keys() ^ set(fields))}"[:300])
    wrong = [name for name, is_right in CHECKS.items() if not is_right(fields[name])]
    if wrong:
        raise ValueError(f"has a wrong value in {', '.join(wrong)}")
    if canonical_json(fields) != content:
        raise ValueError("is not in canonical form")
    return fields


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("names a field twice")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"holds {name}")


def _is_hex64(value: Any) -> bool:
    return isinstance(value, str) and HEX64.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("vault", "type", "time", "host", "user", "uuid"), lambda value: isinstance(value, str)),
    **dict.fromkeys(("version", "index", "pid"), _is_count),
    **dict.fromkeys(("monotonic", "bits", "total_bits"), lambda value: isinstance(value, float) and value >= 0),
    "prev": _is_hex64,
    "selection": lambda value: value is None or _is_hex64(value),
    "opening": lambda value: value is None or (_is_count(value) and value > 0),
    "boot_id": lambda value: isinstance(value, str | None),
    "framework": lambda value: isinstance(value, dict) and set(value) == {"version", "code_sha256"},
    "body": lambda value: isinstance(value, dict),
}
