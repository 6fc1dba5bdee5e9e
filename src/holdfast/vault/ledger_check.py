"""Checks of a ledger that need nothing but its files: form, chain, order of acts, policy, heads, forks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.core.errors import HoldfastError, VaultRefused
from holdfast.vault import policies
from holdfast.vault.ledger import ledger

Found = tuple[str, str, str]  # kind, where, what
NEEDS = {
    "open.predicted": "open.intent",
    "open.result": "open.predicted",
    "open.mismatch": "open.intent",
    "disclose": "open.result",
}
ONCE = ("open.intent", "open.predicted", "open.result")
MAX_MISSING = 20


def scan(folder: Path, vault: str) -> tuple[list[ledger.Entry], list[Found]]:
    """All entries that can be read, and what is wrong with the chain."""
    problems: list[Found] = []
    entries: list[ledger.Entry] = []
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    for name in names:
        if not ledger.NAME.fullmatch(name) and not (name.startswith(".") and name.endswith(".tmp")):
            problems.append(("ledger", str(folder / name), "is no entry of a ledger"))
    indexes = [int(name[:8]) for name in names if ledger.NAME.fullmatch(name)]
    if not indexes:
        problems.append(("ledger", str(folder), "there is no ledger"))
    missing = sorted(set(range(max(indexes, default=-1) + 1)) - set(indexes))
    problems += [("ledger", f"entry {index}", "is missing") for index in missing[:MAX_MISSING]]
    before: ledger.Entry | None = None
    for index in indexes:
        try:
            entry = ledger.read_entry(folder, index)
        except HoldfastError as error:
            problems.append(("ledger", f"entry {index}", error.problems[0].what))
            before = None
            continue
        problems += [("ledger", f"entry {index}", problem) for problem in _link_problems(entry, index, before, vault)]
        entries.append(entry)
        before = entry
    return entries, problems


def head_problems(entries: Sequence[ledger.Entry], head: Mapping[str, Any], witness: str) -> Iterator[Found]:
    """Report a head that somebody has noted and that does not stand in the ledger.

    `witness` is who noted it, as in "seen last".
    """
    index, sha256 = head["index"], head["sha256"]
    by_index = {entry.index: entry for entry in entries}
    if index not in by_index:
        yield "head", f"entry {index}", f"was the head {witness} ({sha256[:12]}), and is gone: cut, or an old copy"
    elif by_index[index].sha256 != sha256:
        yield "head", f"entry {index}", f"is not the head {witness} ({sha256[:12]}): rewritten, or forked"


def order_problems(entries: Sequence[ledger.Entry], policy: Mapping[str, Any]) -> Iterator[Found]:
    """Every act has the act before it, and the policy was kept."""
    seen: set[tuple[str, str | None, int | None]] = set()
    history = policies.History()
    for entry in entries:
        where, step = f"entry {entry.index}", (entry.selection, entry.fields["opening"])
        if (entry.type == "seal") != (entry.index == 0):
            yield "order", where, "is a second seal" if entry.type == "seal" else "is the first entry and no seal"
        if entry.type in NEEDS and (NEEDS[entry.type], *step) not in seen:
            yield "order", where, f"is {entry.type} without its {NEEDS[entry.type]}"
        if entry.type == "open.intent" and ("freeze", entry.selection, None) not in seen:
            yield "order", where, "opens a selection that was not frozen"
        elif entry.type == "open.intent":
            yield from _policy_problems(entry, history, policy)
        if entry.type in ONCE and (entry.type, *step) in seen:
            yield "order", where, f"is a second {entry.type} of the same opening"
        seen.add((entry.type, *step))
        history.add(entry)
    for entry in entries:
        if entry.type == "open.mismatch" and ("open.result", entry.selection, entry.fields["opening"]) not in seen:
            problem = f"the opening found other {str(entry.body.get('what'))[:32]} than the ledger states"
            yield "mismatch", f"entry {entry.index}", problem


def fork_problems(first: Sequence[ledger.Entry], second: Sequence[ledger.Entry]) -> Iterator[Found]:
    """The entry at which two copies of one ledger part; a copy that is only shorter is no fork."""
    for mine, other in zip(first, second, strict=False):
        if mine.sha256 != other.sha256:
            copies = f"{mine.type} ({mine.sha256[:12]}) in one copy and {other.type} ({other.sha256[:12]}) in the other"
            yield "fork", f"entry {mine.index}", f"is {copies}"
            return


def _policy_problems(entry: ledger.Entry, history: policies.History, policy: Mapping[str, Any]) -> Iterator[Found]:
    selection, level = str(entry.selection), str(entry.body.get("level", policies.FULL))
    if selection in history.opened:
        return
    where = f"entry {entry.index}"
    try:
        how = policies.allowed(policy, history, selection, reason=entry.body.get("reason"))
    except VaultRefused:
        yield "policy", where, f"opens selection {selection[:8]}, which the policy {policy['policy']} does not allow"
        return
    if level != how.level:
        yield "policy", where, f"opens selection {selection[:8]} at level {level}, where {how.level} is allowed"
    if entry.fields["opening"] != how.number:
        yield "policy", where, f"says that it is opening {entry.fields['opening']}, and it is opening {how.number}"


def _link_problems(entry: ledger.Entry, index: int, before: ledger.Entry | None, vault: str) -> Iterator[str]:
    """Mistakes between an entry and the one before it; None: that could not be read, or this is the first."""
    if entry.index != index:
        yield f"says that it is entry {entry.index}"
    prev = before.sha256 if before else ledger.FIRST_PREV
    if (before or index == 0) and entry.fields["prev"] != prev:
        yield "does not follow from the entry before it"
    total = entry.fields["bits"] + (before.fields["total_bits"] if before else 0.0)
    if (before or index == 0) and abs(entry.fields["total_bits"] - total) > 1e-6 * max(1.0, total):
        yield "its total of bits is not the sum so far"
    if entry.fields["vault"] != vault:
        yield f"belongs to vault {entry.fields['vault'][:32]!r}"
