"""Sources of rows: what `data.source` may name. Every option is called `source()` and gives `holdfast.data.rows.Rows`.

A function of your own may give more than that: `holdfast.data.sources.call.as_rows` lists it all.
"""

from importlib import import_module
from typing import Any

# Each source, with its function in `holdfast.data.sources`.
SOURCES = {
    "arrays": "arrays.load",
    "breast_cancer": "embedded.breast_cancer",
    "custom": "call.custom",
    "diabetes": "embedded.diabetes",
    "digits": "embedded.digits",
    "hub": "hub.load",
    "image_folder": "image_folder.load",
    "iris": "embedded.iris",
    "memory": "table.memory",
    "memory_arrays": "arrays.memory_arrays",
    "mnist": "mnist.load",
    "table": "table.load",
}
__all__ = list(SOURCES)


def __getattr__(name: str) -> Any:
    """The source called `name`; those that are not chosen are not imported."""
    if name not in SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = SOURCES[name].partition(".")
    return getattr(import_module(f"holdfast.data.sources.{module}"), function)
