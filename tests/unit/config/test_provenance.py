"""The code that a selection depends on: a user's modules, and what these import from beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.config.provenance import files_of, user_modules
from holdfast.core.files import sha256_hex
from holdfast.evaluation.opening import preflight

FILES = {
    "mine.py": "import helper\nimport numpy\n\n\ndef net(): ...\n",
    "helper.py": "def help():\n    from parts import deep\n    return deep\n",
    "parts/__init__.py": "",
    "parts/deep.py": "VALUE = 1\n",
    "parts/own/__init__.py": "from . import layers\n",
    "parts/own/layers.py": "class Layer: ...\n",
    "train_other.py": "print('not imported by any of them')\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_module_imports_belongs_to_it(folder: Path) -> None:
    files = files_of("mine")
    assert {"mine.py", "helper.py", "parts/deep.py"} <= set(files)
    assert "train_other.py" not in files
    assert not [name for name in files if "numpy" in name]
    assert files["helper.py"] == sha256_hex(FILES["helper.py"].encode())
    assert {"parts/own/__init__.py", "parts/own/layers.py"} <= set(files_of("parts.own.layers"))


@pytest.mark.parametrize("module", ["holdfast.models", "torch.nn", "sklearn.datasets", "builtins", "nowhere"])
def test_installed_modules_have_versions_instead(folder: Path, module: str) -> None:
    assert files_of(module) == {}


def test_a_file_that_nobody_can_import_is_hashed_all_the_same(folder: Path) -> None:
    (folder / "helper.py").write_text("def (")
    assert files_of("mine")["mine.py"] == sha256_hex(FILES["mine.py"].encode())


def test_the_modules_of_all_members_of_an_ensemble_count(folder: Path) -> None:
    own = {"model": {"_target_": "holdfast.models.mlp"}}
    members = [{"model": {"_target_": "mine.net"}}, {"callbacks": {"a": {"_target_": "train_other.Spy"}}}]
    assert list(user_modules([own, *members])) == ["mine", "train_other"]


def test_a_helper_that_was_changed_after_the_freeze_is_told(folder: Path) -> None:
    """The attacker freezes a harmless model, and changes not its module, but a file that this one imports."""
    models = [{"modules": user_modules([{"model": {"_target_": "mine.net"}}])}]
    now = preflight.environment()
    versions = {**now["versions"], **preflight.installed_versions()}
    framework = {"version": "0", "code_sha256": preflight.ledger.code_sha256()}
    fields = {"versions": versions, "framework": framework, "models": models, "git": now["git"]}
    assert preflight.environment_changes(fields) == []
    (folder / "parts" / "deep.py").write_text("VALUE = 2\n")
    assert preflight.environment_changes(fields) == ["module mine, or what it imports, changed"]
