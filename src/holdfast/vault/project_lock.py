"""`holdfast.lock` in a project, to be committed: which vaults its numbers come from, and how long their ledgers were.

    {"version": 2, "vaults": {VAULT: {"vault", "name", "content", "columns", "sketch",
                                      "heads": {"seal", "freeze", ...}}}}

Each head is {"index", "sha256"}. Once a vault was frozen, a fresh container with most of its rows and another vault is
refused, so that "opening 1 of 1" cannot be had twice by deleting a home folder; before, rows may be sealed anew there
as anywhere. A ledger that lacks a head that stands here was cut or replaced.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import read_plain, write_atomic
from holdfast.core.record_form import parse_object, problem_in
from holdfast.vault import registry
from holdfast.vault.ledger import ledger
from holdfast.vault.rows.digest_sets import MOSTLY, content_id, in_common, sketch_of

if TYPE_CHECKING:
    from holdfast.vault.known_rows import RowForms

FILE_NAME = "holdfast.lock"
VERSION = 2
MAX_BYTES = 2**26
HEAD = {"index": int, "sha256": str}
ENTRY = {"name": str, "content": str, "columns": [str], "sketch": [str], "heads": {...: HEAD}}


def read_lock(project: Path) -> dict[str, dict[str, Any]]:
    """The entries of a project's lock by vault, none where there is no file; refused where its form is not known."""
    path = project / FILE_NAME
    try:
        fields = parse_object(read_plain(path, MAX_BYTES))
        if fields.get("version") != VERSION:
            raise ValueError(f"has version {fields.get('version')!r:.40}")
        if problem := problem_in(fields, {"vaults": {...: ENTRY}}, ""):
            raise ValueError(problem)
        for vault, entry in fields["vaults"].items():
            if not ENTRY.keys() <= entry.keys() or any(head.keys() != HEAD.keys() for head in entry["heads"].values()):
                raise ValueError(f"vaults.{vault} lacks a field")
        return {vault: {**entry, "vault": vault} for vault, entry in fields["vaults"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        raise VaultRefused(str(path), f"cannot be read ({error})", next="restore it from git") from None


def refuse_other(locked: Sequence[Mapping[str, Any]], forms: RowForms) -> None:
    """Refuse rows that something was frozen over by a vault that is not here, as a project's lock says."""
    for entry in unknown(locked):
        digests = forms.over(entry["columns"])
        if not entry["sketch"]:
            is_same = content_id(digests, forms.y) == entry["content"]
        else:
            mine = sketch_of(digests, np.ones(len(forms), bool))
            is_same = in_common(entry["sketch"], mine) >= MOSTLY
        if is_same:
            raise _other(entry)


def refuse_beside(locked: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> None:
    """Refuse a vault beside one that a project's lock names for the same rows, and that is not here."""
    for entry in unknown(locked):
        is_same = entry["content"] == record["content"]
        if is_same or in_common(entry["sketch"], record["sketch"]) >= MOSTLY:
            raise _other(entry)


def unknown(locked: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Entries of vaults that something was chosen by and that this home knows nothing of."""
    known = {record["vault"] for record in registry.records()}
    return [entry for entry in locked if entry["vault"] not in known and _is_binding(entry)]


def _other(entry: Mapping[str, Any]) -> VaultRefused:
    problem = f"names vault {entry['vault'][:8]} for these rows, which is not in {places.home()}"
    hint = "set HOLDFAST_HOME to where it is, or `holdfast vault import` a copy"
    return VaultRefused(FILE_NAME, problem, next=hint)


def _is_binding(entry: Mapping[str, Any]) -> bool:
    """Tell whether anything but the sealing stands in the lock: from then on the vault is the project's."""
    return set(entry["heads"]) != {"seal"}


def check_heads(locked: Mapping[str, Mapping[str, Any]], vault: str) -> None:
    """Refuse a ledger that lacks a head of a project's lock: it was cut, rewritten, or is an older copy."""
    for act, head in locked.get(vault, {"heads": {}})["heads"].items():
        witness = f"that {FILE_NAME} has ({act})"
        for _, where, problem in ledger.head_problems(registry.read_ledger(vault), head, witness):
            hint = "restore the ledger from a copy; then holdfast vault verify"
            raise VaultRefused(f"vault {vault[:8]}", f"{where} of its ledger {problem}", next=hint)


def note_head(project: Path, vault: str, act: str, entry: ledger.Entry) -> None:
    """Write a vault's newest head into the project's lock by an act such as "seal", unless it is there."""
    vaults, record = read_lock(project), registry.record_of(vault)
    known = vaults.get(vault) or {key: record[key] for key in ("vault", "name", "content", "columns", "sketch")}
    heads = dict(known.get("heads", {}))
    if act == "seal" and act in heads:
        return
    heads[act] = {"index": entry.index, "sha256": entry.sha256}
    for former, other in list(vaults.items()):
        if former in record["replaces"] or (other["content"] == record["content"] and not _is_binding(other)):
            del vaults[former]
    vaults[vault] = {**known, "heads": heads}
    content = json.dumps({"version": VERSION, "vaults": vaults}, indent=1, sort_keys=True)
    with registry.on_disk(project / FILE_NAME, "the lock could not be written"):
        write_atomic(project / FILE_NAME, content + "\n")


def projects_of(vault: str, *starts: Path) -> list[Path]:
    """The projects whose lock names a vault: those that something was frozen from, and those that `starts` lie in."""
    frozen = [entry.body.get("projects") for entry in registry.read_ledger(vault) if entry.type == "freeze"]
    folders = [Path(str(folder)) for noted in frozen if isinstance(noted, list) for folder in noted]
    folders += filter(None, map(find_project, starts))
    return [folder for folder in dict.fromkeys(folders) if vault in read_lock(folder)]


def refuse_other_ledger(vault: str, *starts: Path) -> None:
    """Refuse a vault that the locks of its projects, and of those that `starts` lie in, speak against.

    They name another vault for these rows that is not here, or a head that its ledger lacks.
    """
    record = registry.record_of(vault)
    for folder in filter(None, map(find_project, starts)):
        refuse_beside(list(read_lock(folder).values()), record)
    for folder in projects_of(vault, *starts):
        check_heads(read_lock(folder), vault)


def note_heads(projects: Sequence[Path], vault: str, act: str) -> None:
    """Note the newest head in the locks of a vault's projects."""
    for folder in projects:
        note_head(folder, vault, act, registry.read_ledger(vault)[-1])


def anchor(vault: str, project: Path) -> str:
    """Add an `anchor` entry, note its head in the project's lock, and commit that file alone; returns the commit.

    Who rewrites the ledger afterwards must rewrite a commit that others may have pulled.

    Raises:
        InputError: The folder is in no git repository.
        VaultRefused: The ledger is not whole, or git does not commit.
    """

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=project, capture_output=True, text=True, check=False)

    if git("rev-parse", "--git-dir").returncode != 0:
        raise InputError(str(project), "is in no git repository", next="git init, or name one: --repo FOLDER")
    check_heads(read_lock(project), vault)
    registry.read_ledger(vault)
    entry = registry.append(vault, "anchor", {"file": FILE_NAME})
    note_head(project, vault, "anchor", entry)
    git("add", "--", FILE_NAME)
    message = f"holdfast: vault {vault[:8]}, entry {entry.index}, head {entry.sha256}"
    done = git("commit", "-q", "-m", message, "--", FILE_NAME)
    if done.returncode != 0:
        hint = f"the head is noted in {FILE_NAME}: commit it yourself"
        raise VaultRefused("git", (done.stderr or done.stdout).strip()[:200], next=hint)
    return git("rev-parse", "HEAD").stdout.strip()


def find_project(start: Path) -> Path | None:
    """The nearest folder with a lock, from `start` upwards; None where there is none."""
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / FILE_NAME).exists()), None)
