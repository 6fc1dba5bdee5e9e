"""`holdfast vault status` and `holdfast vault verify`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli.arguments import Json
from holdfast.core import places
from holdfast.core.errors import HoldfastError, VaultRefused
from holdfast.core.terminal import Console

if TYPE_CHECKING:
    from holdfast.vault.ledger import ledger
    from holdfast.vault.verify import Finding


def status(as_json: Json = False) -> None:
    """List what is sealed, frozen and opened."""
    from holdfast.vault import registry

    vaults = [_describe(record) for record in registry.records()]
    if as_json:
        print(json.dumps({"home": str(places.home()), "vaults": vaults}))
    else:
        _tell(vaults)


def verify(
    path: Annotated[Path | None, typer.Argument(help="A copy of a HOLDFAST_HOME or of a vault.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another copy: where do the two part?")] = None,
    head: Annotated[list[str] | None, typer.Option(help="A head that must stand in a ledger.")] = None,
    as_json: Json = False,
) -> int:
    """Check every ledger, file and head, without a key; exit code 3 when something is found."""
    findings = _find(path, against, head or ())
    exit_code = VaultRefused.exit_code if findings else 0
    if as_json:
        print(json.dumps({"ok": not findings, "findings": [asdict(finding) for finding in findings]}))
        return exit_code
    console = Console(highlight=False, soft_wrap=True)
    place = path or places.home()
    vaults = list(place.glob("registry/*.json")) or [place]
    for finding in findings:
        console.print(f"{finding.vault[:8] or 'home':8}  {finding.kind}: {finding.where} {finding.what}", markup=False)
    if findings:
        console.print(f"[bold red]{_count(findings, 'finding')}[/bold red] in {_count(vaults, 'vault')}, {place}")
        console.print("next       restore what was changed from a copy, then `holdfast vault verify` again")
    else:
        checked = "every sealed file, selection, entry and head as it was left"
        console.print(f"[green]whole[/green]: {_count(vaults, 'vault')} of {place}, {checked}")
    return exit_code


def _find(path: Path | None, against: Path | None, heads: Sequence[str]) -> list[Finding]:
    from holdfast.vault import project_lock
    from holdfast.vault.verify import find_forks, locked_heads, missing_heads, verify_home, verify_path

    place = path or places.home()
    findings = verify_home(_store_digests()) if path is None else verify_path(path)
    if path is None:
        findings += _report_findings()
    if path is None and (project := project_lock.find_project(Path.cwd())):
        findings += locked_heads(place, list(project_lock.read_lock(project).values()))
    if against is not None:
        findings += verify_path(against) + find_forks(place, against)
    return findings + (missing_heads(place, heads) if heads else [])


def _report_findings() -> list[Finding]:
    """Differences between written reports and their ledgers."""
    from holdfast.evaluation.opening.report import report_problems
    from holdfast.vault.verify import Finding

    findings = []
    for folder in sorted(places.vaults().glob("[!.]*/selections/[!.]*")):
        vault = folder.parents[1].name
        findings += [Finding(vault, *problem) for problem in report_problems(vault, folder.name)]
    return findings


def _store_digests() -> list[tuple[str, Any]]:
    import numpy as np

    digests = []
    for path in sorted((places.store() / "rows").glob("*/raw/digests.npy")):
        try:
            digests.append((str(path.parent.parent), np.load(path, mmap_mode="r", allow_pickle=False)))
        except (OSError, ValueError):
            continue
    return digests


def _describe(record: dict[str, Any]) -> dict[str, Any]:
    from holdfast.vault import registry

    vault = record["vault"]
    copied = ("vault", "name", "status", "num_test", "replaced_by", "lineage", "task")
    description: dict[str, Any] = {name: record[name] for name in copied}
    description |= {
        "sealed": record["created"],
        "head": registry.head_of(vault),
        "policy": record["policy"]["policy"],
        "key_mode": record["policy"]["key_mode"],
        "selections": [],
        "total_bits": 0.0,
        "problem": None,
    }
    try:
        entries = registry.read_ledger(vault)
    except HoldfastError as error:
        return {**description, "problem": str(error)}
    description["total_bits"] = entries[-1].fields["total_bits"]
    for entry in entries:
        if entry.type == "freeze":
            named = {"selection": entry.selection, "frozen": entry.fields["time"]}
            description["selections"].append({**named, **_state(entries, entry)})
    return description


def _state(entries: list[ledger.Entry], freeze: ledger.Entry) -> dict[str, Any]:
    mine = {entry.type: entry for entry in entries if entry.selection == freeze.selection}
    states = (
        ("open.result", "opened"),
        ("open.mismatch", "mismatch"),
        ("open.intent", "interrupted"),
        ("withdraw", "withdrawn"),
        ("refused", "refused"),
        ("freeze", "frozen"),
    )
    state = next(word for type, word in states if type in mine)
    opening = mine["open.intent"].fields["opening"] if "open.intent" in mine else None
    return {"run": freeze.body.get("run"), "state": state, "opening": opening, "val": freeze.body.get("val")}


def _tell(vaults: list[dict[str, Any]]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not vaults:
        console.print(f"no vaults in {places.home()}")
        console.print("next       python train.py   (seals the test rows of its data set before it trains)")
    for vault in vaults:
        _tell_vault(console, vault)
    if vaults:
        console.print("next       " + _advice(vaults))


def _tell_vault(console: Console, vault: dict[str, Any]) -> None:
    from holdfast.vault import registry

    if vault["status"] == registry.REPLACED:
        console.print(f"[dim]{vault['vault'][:8]}  {vault['name']}: sealed anew as {vault['replaced_by'][:8]}[/dim]")
        return
    if vault["status"] != registry.SEALED:
        words = f"{vault['status']}, its rows cannot be read again"
        console.print(f"[bold]{vault['vault'][:8]}  {vault['name']}[/bold]: {words}")
        return
    how = f"policy {vault['policy']}, key {vault['key_mode']}, sealed {vault['sealed'][:10]}"
    kind = f"{vault['num_test']:,} test rows, {how}"
    console.print(f"[bold]{vault['vault'][:8]}  {vault['name']}[/bold]: {kind}")
    if vault["problem"]:
        console.print(f"          {vault['problem']}", style="red", markup=False)
    if vault["lineage"]:
        former = ", ".join(vault_id[:8] for vault_id in vault["lineage"])
        console.print(f"          has rows of {former}, which were put out of force", style="yellow")
    for selection in vault["selections"]:
        number = f" (opening {selection['opening']})" if selection["opening"] else ""
        console.print(f"          {selection['selection'][:8]}  {selection['state']}{number}, run {selection['run']}")
    if not vault["selections"] and not vault["problem"]:
        console.print("          nothing frozen, nothing opened", style="dim")
    index, head = vault["head"]["index"], vault["head"]["sha256"][:8]
    console.print(f"          ledger entry {index}, head {head}, {vault['total_bits']:.1f} bits told", style="dim")


def _advice(vaults: list[dict[str, Any]]) -> str:
    """An opening that can be finished, one that can be made, or what else there is to do."""
    from holdfast.vault import registry

    current = [vault["selections"] for vault in vaults if vault["status"] == registry.SEALED]
    for selections in current:
        states = [selection["state"] for selection in selections]
        wanted = "interrupted" if "interrupted" in states else "frozen"
        if wanted in states and "opened" not in states:
            return f"holdfast open {selections[states.index(wanted)]['selection'][:8]}"
    return "holdfast vault verify" if any(current) else "holdfast freeze RUN"


def _count(things: list[Any], word: str) -> str:
    return f"{len(things)} {word}" + ("" if len(things) == 1 else "s")
