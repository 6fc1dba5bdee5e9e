"""Sources of rows: what `data.source` may name. Every option is called `source()` and gives `holdfast.data.rows.Rows`.

A function of your own may give more than that: `holdfast.data.sources.call.as_rows` lists it all.
"""

from collections.abc import Callable
from importlib import import_module

from holdfast.data.rows import Rows

__all__ = [
    "arrays",
    "breast_cancer",
    "custom",
    "diabetes",
    "digits",
    "hub",
    "image_folder",
    "iris",
    "memory",
    "memory_arrays",
    "mnist",
    "table",
]


# Sources that are called as their option, with their modules; the others are the `load` of their own.
SHARED = {"digits": "embedded", "breast_cancer": "embedded", "diabetes": "embedded", "iris": "embedded"}
SHARED |= {"memory": "table", "memory_arrays": "arrays", "custom": "call"}


def __getattr__(name: str) -> Callable[..., Rows]:
    """The source called `name`; those that are not chosen are not imported."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"holdfast.data.sources.{SHARED.get(name, name)}")
    source: Callable[..., Rows] = getattr(module, name if name in SHARED else "load")
    return source
