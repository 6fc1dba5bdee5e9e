"""Heavy modules that training imports for a few names: they answer these, and load when they are asked for another.

Lightning and every optimizer of torch import the compiler `torch._dynamo`, which costs as much as torch itself;
torchmetrics imports `scipy.signal` (its issue 3457) and matplotlib. A run that compiles and plots nothing uses none of
them. `defer_imports` makes each of these modules a `DeferredModule`: the same object becomes the real module, in its
own namespace, when any other name or a submodule is asked for. It steps aside for versions that no test has covered,
and where the environment sets HOLDFAST_PLAIN_IMPORTS=1.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

SWITCH = "HOLDFAST_PLAIN_IMPORTS"
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Deferral:
    """How a module is stood in for.

    Attributes:
        package: The package whose version decides; it must have been imported before.
        versions: Minor versions of it that the tests cover.
        answers: Names that are answered without loading the module.
        when_loaded: Called with the real module.
    """

    package: str
    versions: tuple[str, ...]
    answers: Mapping[str, Any]
    when_loaded: list[Callable[[ModuleType], None]] = field(default_factory=list)

    def is_known(self) -> bool:
        """Whether the tests cover the version that was imported."""
        version = str(getattr(sys.modules.get(self.package), "__version__", ""))
        return ".".join(version.split(".")[:2]) in self.versions


class DeferredModule(ModuleType):
    """A module that has not been loaded yet; an unknown name loads it in place."""

    def __getattr__(self, name: str) -> Any:
        is_asked_by_python = name.startswith("__") and name != "__all__"  # whether it is a package, has warned, ...
        with _LOCK:
            if is_asked_by_python or _is_loading(self):  # or a circular import inside the real module
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
            load(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):  # the import system sets those
            load(self)
        ModuleType.__setattr__(self, name, value)  # a module like any other by now


def load(module: ModuleType) -> None:
    """Make a deferred module the real one; nothing is done for any other module."""
    with _LOCK:
        if not isinstance(module, DeferredModule) or _is_loading(module):
            return
        spec = module.__spec__
        assert spec is not None
        assert isinstance(spec.loader, _DeferredLoader)
        deferred = spec.loader
        spec.loader = module.__loader__ = deferred.real
        for name in deferred.deferral.answers:
            del module.__dict__[name]
        if spec.submodule_search_locations is not None:
            module.__path__ = spec.submodule_search_locations
        try:
            deferred.real.exec_module(module)
        except BaseException:
            sys.modules.pop(module.__name__, None)  # as for any import that failed
            raise
        module.__class__ = ModuleType  # type: ignore[assignment]
        for settle in deferred.deferral.when_loaded:
            settle(module)


def defer_imports() -> None:
    """Defer the heavy modules of this process that are not imported yet."""
    if os.environ.get(SWITCH, "") in ("", "0") and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _is_loading(module: ModuleType) -> bool:
    spec = module.__spec__
    return spec is not None and not isinstance(spec.loader, _DeferredLoader)


class _DeferredLoader(Loader):
    """Makes a `DeferredModule` in place of running the module's code."""

    def __init__(self, real: Loader, deferral: Deferral) -> None:
        self.real = real
        self.deferral = deferral

    def exec_module(self, module: ModuleType) -> None:
        if hasattr(module, "__path__"):
            module.__path__ = []  # so that submodules are looked for by `_Finder`, which loads the module first
        module.__dict__.update(self.deferral.answers)
        module.__class__ = DeferredModule


class _LoadedAlready(Loader):
    """Hands over a submodule that the loading of its package has imported, so that it is not run twice."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Finder(MetaPathFinder):
    """Finds the deferred modules and their submodules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        deferral = DEFERRED.get(fullname)
        if deferral is not None:
            spec = PathFinder.find_spec(fullname, path) if deferral.is_known() else None
            if spec is not None and spec.loader is not None:
                spec.loader = _DeferredLoader(spec.loader, deferral)
            return spec
        package = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(package, DeferredModule):
            return None
        load(package)
        if fullname in sys.modules:
            return spec_from_loader(fullname, _LoadedAlready(sys.modules[fullname]))
        return PathFinder.find_spec(fullname, package.__path__)


def _loaded(name: str) -> ModuleType:
    """The real module."""
    module = sys.modules[name]
    load(module)
    return module


def _deferred_function(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **keywords: Any) -> Any:
        return getattr(_loaded(module), name)(*args, **keywords)

    return call


class _OptimizedModuleType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        dynamo = sys.modules["torch._dynamo"]
        return not isinstance(dynamo, DeferredModule) and isinstance(instance, dynamo.OptimizedModule)


class OptimizedModule(metaclass=_OptimizedModuleType):
    """Stands for the class of compiled modules; there is none as long as the compiler is not loaded."""


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None, wrapping: bool = True) -> Any:
    """Keep the compiler out of `fn`: there is nothing to do before it is loaded."""
    if not inspect.isfunction(fn):
        return _loaded("torch._dynamo").disable(fn, recursive, reason=reason, wrapping=wrapping)
    run = fn

    @functools.wraps(fn)
    def call(*args: Any, **keywords: Any) -> Any:
        return run(*args, **keywords)

    def settle(dynamo: ModuleType) -> None:
        nonlocal run
        run = dynamo.disable(fn, recursive, reason=reason, wrapping=wrapping)

    DEFERRED["torch._dynamo"].when_loaded.append(settle)
    return call


def graph_break(msg: str = "") -> None:
    """End the graph that is compiled: there is none."""


def _restore_hamming(signal: ModuleType) -> None:
    """What torchmetrics does when it imports the module."""
    if not hasattr(signal, "hamming"):
        signal.hamming = signal.windows.hamming  # type: ignore[attr-defined]


_PLOTS = ("plot_single_or_multi_val", "plot_curve", "plot_confusion_matrix")
DEFERRED: dict[str, Deferral] = {
    "torch._dynamo": Deferral(
        "torch", ("2.13",), {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}
    ),
    "scipy.signal": Deferral(
        "torchmetrics",
        ("1.8", "1.9"),
        {"hamming": _deferred_function("scipy.signal", "hamming")},
        [_restore_hamming],
    ),
    "torchmetrics.utilities.plot": Deferral(
        "torchmetrics",
        ("1.8", "1.9"),
        # types of annotations, as torchmetrics has them where there is no matplotlib
        {"_AX_TYPE": object, "_CMAP_TYPE": object, "_PLOT_OUT_TYPE": tuple[object, object]}
        | {name: _deferred_function("torchmetrics.utilities.plot", name) for name in _PLOTS},
    ),
}
