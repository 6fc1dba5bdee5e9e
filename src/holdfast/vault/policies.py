"""A vault's policy, as plain functions over the entries of its ledger. A policy is fixed when sealing.

once         one selection of one model, in full; any other only with a reason, its primary metric alone
batch        K models that were frozen before the first opening, in full, at alpha / K
criterion    up to K selections (10 by default), pass or fail against the criterion each was frozen with: one bit
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.core.errors import InputError, VaultRefused, did_you_mean
from holdfast.vault.ledger.ledger import Entry, Found

NONE = "none"
MAX_K = 1000
MAX_CRITERIA = 10
OFFERED: dict[str, tuple[Any, ...]] = {
    "policy": ("once", "batch", "criterion", NONE),
    "key_mode": ("local", "passphrase", "keyfile"),
    "near_duplicates": (False, True),
}
SETTINGS: dict[str, Any] = {
    "policy": "once",
    "k": None,
    "key_mode": "local",
    "public_key": None,
    "near_duplicates": False,
    "id": None,
}
FULL, PRIMARY, CRITERION = "full", "primary", "criterion"
NEEDS = {
    "open.predicted": "open.intent",
    "open.result": "open.predicted",
    "open.mismatch": "open.intent",
    "disclose": "open.result",
}
NOT_TWICE = ("open.intent", "open.predicted", "open.result")


@dataclass(frozen=True)
class Allowed:
    """An opening that the policy allows."""

    number: int  # which opening of the vault it is, from 1
    level: str  # "full": all metrics; "primary": the primary metric, not a clean test; "criterion": pass or fail
    reason: str | None = None  # why a vault that was opened is opened again; None for a clean opening


@dataclass
class History:
    """Selections frozen, withdrawn and opened so far, in the order of the ledger; `frozen` counts their models."""

    frozen: dict[str, int] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    opened: dict[str, Allowed] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> History:
        """The history that entries tell."""
        history = cls()
        for entry in entries:
            history.add(entry)
        return history

    def add(self, entry: Entry) -> None:
        """Take one more entry into account."""
        selection = str(entry.selection)
        if entry.type == "freeze" and selection not in self.frozen:
            models = entry.body.get("models")
            self.frozen[selection] = len(models) if isinstance(models, list) and models else 1
            if self.opened:
                self.late.add(selection)
        elif entry.type == "withdraw":
            self.withdrawn.add(selection)
        elif entry.type == "open.intent" and selection not in self.opened:
            level, reason = str(entry.body.get("level", FULL)), entry.body.get("reason")
            self.opened[selection] = Allowed(int(entry.fields["opening"] or 0), level, reason)


def allowed(
    policy: Mapping[str, Any], history: History, selection: str, *, reason: str | None = None, where: str = "vault"
) -> Allowed:
    """The way in which a selection may be opened now; VaultRefused where it may not.

    Args:
        policy: {"policy", "k"} of the manifest.
        selection: Its full id.
        reason: Why the vault is opened again, in the words of who asks; None: it is not asked for.
        where: The vault's name in messages.
    """
    name = f"selection {selection[:8]}"
    if selection not in history.frozen:
        raise VaultRefused(name, "is not in the ledger of its vault", next="holdfast freeze RUN")
    if selection in history.opened:
        return history.opened[selection]
    if selection in history.withdrawn:
        raise VaultRefused(name, "was withdrawn", next="freeze the run again")
    number = len(history.opened) + 1
    if policy["policy"] == "criterion":
        limit = policy["k"] or MAX_CRITERIA
        if number > limit:
            problem = f"has answered {len(history.opened)} times, and answers {limit} times"
            raise VaultRefused(where, problem, next="vault.k is chosen when a vault is sealed")
        return Allowed(number, CRITERION)
    objection = _objection(policy, history, selection)
    if objection is None:
        return Allowed(number, FULL)
    if reason is not None:
        return Allowed(number, PRIMARY, reason)
    problem, hint = objection
    again = "`--reason WHY` opens it again at the level of its primary metric: not a clean test"
    raise VaultRefused(where, problem, next=f"{hint}{again}")


def check_reason(reason: str) -> None:
    """Refuse to act without a reason; `reason` is what stands in the ledger."""
    if not reason.strip():
        raise InputError("--reason", "is empty", next="say in a sentence why; it stays in the ledger")


def order_problems(entries: Sequence[Entry], policy: Mapping[str, Any]) -> Iterator[Found]:
    """Report every act that lacks the act before it, and every one that the policy does not allow."""
    seen: set[tuple[str, str | None, int | None]] = set()
    history = History()
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
        if entry.type in NOT_TWICE and (entry.type, *step) in seen:
            yield "order", where, f"is a second {entry.type} of the same opening"
        seen.add((entry.type, *step))
        history.add(entry)
    for entry in entries:
        if entry.type == "open.mismatch" and ("open.result", entry.selection, entry.fields["opening"]) not in seen:
            problem = f"the opening found other {str(entry.body.get('what'))[:32]} than the ledger states"
            yield "mismatch", f"entry {entry.index}", problem


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the group `vault` with their defaults; InputError where a key or value is not offered."""
    chosen: dict[str, Any] = SETTINGS | dict(settings)
    if unknown := sorted(set(chosen) - set(SETTINGS)):
        hint = did_you_mean(unknown[0], SETTINGS)
        raise InputError(f"vault.{unknown[0]}", "is no setting of a vault", allowed=", ".join(SETTINGS), next=hint)
    for name, offered in OFFERED.items():
        if chosen[name] not in offered:
            words = [str(value).lower() for value in offered]
            hint = did_you_mean(str(chosen[name]), words)
            raise InputError(f"vault.{name}", f"{chosen[name]!r} is not offered", ", ".join(words), next=hint)
    _check_k(chosen["policy"], chosen["k"])
    if (chosen["key_mode"] == "keyfile") != (chosen["public_key"] is not None) and chosen["policy"] != NONE:
        problem = "is missing" if chosen["key_mode"] == "keyfile" else "belongs to vault.key_mode=keyfile"
        raise InputError("vault.public_key", problem, next="holdfast vault keygen FILE makes FILE and FILE.pub")
    return chosen


def _check_k(policy: str, k: Any) -> None:
    least = {"batch": 2, "criterion": 1}.get(policy)
    if least is None:
        if k is not None:
            raise InputError("vault.k", f"is {k!r} under the policy {policy}", "null", next="vault=batch")
    elif not (k is None and policy == "criterion") and (type(k) is not int or not least <= k <= MAX_K):
        allowed = f"how many {'models will be opened' if least > 1 else 'answers it gives'}, {least} to {MAX_K}"
        raise InputError("vault.k", f"is {k!r}", allowed=allowed)


def confidence(policy: Mapping[str, Any], alone: float) -> float:
    """The confidence of each interval: that of a single one, or 1 - alpha / K under the policy batch."""
    return 1 - (1 - alone) / policy["k"] if policy["policy"] == "batch" else alone


def policy_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that stand in the manifest."""
    return {name: settings[name] for name in ("policy", "k", "key_mode")}


def _objection(policy: Mapping[str, Any], history: History, selection: str) -> tuple[str, str] | None:
    """Why an opening would not be a clean test, and what to do instead; None where it would be one."""
    if policy["policy"] == "once":
        if history.frozen[selection] > 1:
            return f"is for one model, and selection {selection[:8]} has {history.frozen[selection]}", ""
        if not history.opened:
            return None
        first = next(iter(history.opened))[:8]
        return (
            f"was opened with selection {first}, and its policy is once",
            f"holdfast open {first} repeats its result; ",
        )
    if selection in history.late:
        return f"selection {selection[:8]} was frozen after the vault was opened, and its policy is batch", ""
    used = sum(history.frozen.get(opened, 1) for opened, how in history.opened.items() if how.level == FULL)
    asked = history.frozen[selection]
    if used + asked <= policy["k"]:
        return None
    return f"{used} of the {policy['k']} models of its batch were opened, and selection {selection[:8]} has {asked}", ""


def _policy_problems(entry: Entry, history: History, policy: Mapping[str, Any]) -> Iterator[Found]:
    selection, level = str(entry.selection), str(entry.body.get("level", FULL))
    if selection in history.opened:
        return
    where = f"entry {entry.index}"
    try:
        how = allowed(policy, history, selection, reason=entry.body.get("reason"))
    except VaultRefused:
        yield "policy", where, f"opens selection {selection[:8]}, which the policy {policy['policy']} does not allow"
        return
    if level != how.level:
        yield "policy", where, f"opens selection {selection[:8]} at level {level}, where {how.level} is allowed"
    if entry.fields["opening"] != how.number:
        yield "policy", where, f"says that it is opening {entry.fields['opening']}, and it is opening {how.number}"
