"""Anchoring: the heads of ledgers where others can see them, in a git commit of the project's `holdfast.lock`.

Who rewrites a ledger afterwards must rewrite a commit that others may have pulled.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from holdfast.core.errors import InputError, VaultRefused
from holdfast.vault import project_lock, registry


def anchor(vault: str, project: Path) -> str:
    """Add an `anchor` entry, note its head in the project's lock, and commit that file alone; returns the commit.

    Raises:
        InputError: The folder is in no git repository.
        VaultRefused: The ledger is not whole, or git does not commit.
    """
    if _git(project, "rev-parse", "--git-dir").returncode != 0:
        raise InputError(str(project), "is in no git repository", next="git init, or name one: --repo FOLDER")
    project_lock.check_heads(project, vault)
    registry.read_ledger(vault)
    entry = registry.append(vault, "anchor", {"file": project_lock.FILE_NAME})
    project_lock.note_head(project, vault, "anchor", entry)
    message = f"holdfast: vault {vault[:8]}, entry {entry.index}, head {entry.sha256}"
    _git(project, "add", "--", project_lock.FILE_NAME)
    done = _git(project, "commit", "-q", "-m", message, "--", project_lock.FILE_NAME)
    if done.returncode != 0:
        hint = f"the head is noted in {project_lock.FILE_NAME}: commit it yourself"
        raise VaultRefused("git", (done.stderr or done.stdout).strip()[:200], next=hint)
    return _git(project, "rev-parse", "HEAD").stdout.strip()


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
