"""Installed versions and the source of a user's own modules: a result depends on them beside its files."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from holdfast.config.resolve import find_module_file
from holdfast.config.targets import targets_below
from holdfast.core.files import sha256_file

LIBRARIES = ("holdfast", "torch", "pytorch_lightning", "torchmetrics", "kornia")


def installed_versions() -> dict[str, str]:
    """Every installed distribution with its version."""
    versions = {str(dist.metadata["Name"]): str(dist.version) for dist in importlib.metadata.distributions()}
    return dict(sorted(versions.items()))


def user_modules(config: dict[str, Any]) -> dict[str, str]:
    """The source of every module that the config names and that is neither ours nor installed."""
    sources: dict[str, str] = {}
    for target in sorted({node["_target_"] for _, node in targets_below("", config)}):
        path = None if target.split(".")[0] in LIBRARIES else find_module_file(target)
        if path is None or {"site-packages", "dist-packages"} & set(path.parts):
            continue
        package = path.parent if (path.parent / "__init__.py").exists() else None
        for file in sorted(package.rglob("*.py")) if package else [path]:
            sources[f"{target.rpartition('.')[0]}:{file.relative_to(path.parent).as_posix()}"] = sha256_file(file)
    return sources
