"""Installed versions and the source of a user's own modules: a result depends on them beside its files."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from holdfast.config.resolve import find_module_file
from holdfast.config.targets import targets_below
from holdfast.core.files import sha256_file

LIBRARIES = ("holdfast", "torch", "pytorch_lightning", "torchmetrics", "kornia")


def installed_versions() -> dict[str, str]:
    """Every installed distribution with its version."""
    versions = {str(dist.metadata["Name"]): str(dist.version) for dist in importlib.metadata.distributions()}
    return dict(sorted(versions.items()))


def user_modules(configs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The source of every module that configs name and that is neither ours nor installed: `files_of` it, by name."""
    names = {node["_target_"].rpartition(".")[0] for config in configs for _, node in targets_below("", dict(config))}
    sources = {name: files_of(name) for name in sorted(names)}
    return {name: files for name, files in sources.items() if files}


def by_file(modules: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The hashes of all files of several modules."""
    return {file: sha256 for files in modules.values() for file, sha256 in files.items()}


def files_of(module: str) -> dict[str, str]:
    """The hashes of a user's module, of all in its package, and of what these import from beside it; else empty.

    What is imported by a name that the code makes up, and data that it reads, are not among them.
    """
    path = None if module.partition(".")[0] in LIBRARIES else find_module_file(f"{module}.any")
    if path is None or not path.is_file() or {"site-packages", "dist-packages"} & set(path.parts):
        return {}
    package = path.parent if (path.parent / "__init__.py").exists() else None
    files = set(package.rglob("*.py")) if package else {path}
    folder = next(folder for folder in path.parents if not (folder / "__init__.py").exists())
    finder = ModuleFinder(path=[str(folder)])
    for file in sorted(files):
        name = ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        with contextlib.suppress(ImportError, SyntaxError, OSError):  # who imports it is told
            finder.import_hook(name)
    paths = [vars(imported)["__file__"] for imported in finder.modules.values()]
    files |= {Path(path) for path in paths if path}
    return {file.relative_to(folder).as_posix(): sha256_file(file) for file in sorted(files) if file.suffix == ".py"}
