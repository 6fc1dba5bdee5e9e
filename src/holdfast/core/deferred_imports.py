"""Heavy modules that training imports for a few names: libraries are answered these, and all else loads the module.

Lightning and every optimizer of torch import the compiler `torch._dynamo`, which costs as much as torch itself;
torchmetrics imports `scipy.signal` (its issue 3457) and matplotlib. A run that compiles and plots nothing uses none of
them. `defer_imports` makes each of these modules a `DeferredModule`: the same object becomes the real module, in its
own namespace, when anybody else asks for a name, or for a submodule. It steps aside for versions that no test has
covered, and where the environment sets HOLDFAST_PLAIN_IMPORTS=1.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib._bootstrap import _get_module_lock, _lock_unlock_module  # type: ignore[attr-defined]
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

SWITCH = "HOLDFAST_PLAIN_IMPORTS"
# Anybody else who asks for a name gets the real one.
ANSWERED = ("torch.", "lightning_fabric.", "pytorch_lightning.", "torchmetrics.")
_STARTING = threading.Lock()


@dataclass(frozen=True)
class Deferral:
    """The conditions under which a module is stood in for."""

    package: str  # the package whose version decides; it must have been imported before
    versions: tuple[str, ...]  # minor versions of it that the tests cover
    answers: Mapping[str, Any]  # names that the libraries in `ANSWERED` are given without loading the module
    when_loaded: list[Callable[[ModuleType], None]] = field(default_factory=list)  # called with the real module

    def is_known(self) -> bool:
        """Look up whether the tests cover the version that was imported."""
        version = str(getattr(sys.modules.get(self.package), "__version__", ""))
        return ".".join(version.split(".")[:2]) in self.versions


class DeferredModule(ModuleType):
    """A module that has not been loaded yet; it is loaded in place, which ends its being one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # asked by Python itself: has it warned, is it wrapped, ...
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        loader = _deferred_loader(self)
        if loader is not None and name in loader.deferral.answers and _asked_by().startswith(ANSWERED):
            return loader.deferral.answers[name]
        load(self)
        if type(self) is DeferredModule and name not in self.__dict__:  # a circular import inside the real module
            raise AttributeError(f"partially initialized module {self.__name__!r} has no attribute {name!r}")
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):  # the import system sets those
            load(self)
        ModuleType.__setattr__(self, name, value)  # a module like any other by now

    def __dir__(self) -> list[str]:
        load(self)
        return list(self.__dict__)

    def __reduce__(self) -> Any:
        return importlib.import_module, (self.__name__,)


def load(module: ModuleType, *, waits: bool = True) -> None:
    """Make a deferred module the real one; with `waits`, wait for another thread that is loading it."""
    name = module.__name__
    with _STARTING:
        loader = _deferred_loader(module)
        if loader is not None:
            module.__spec__.loader = module.__loader__ = loader.real  # type: ignore[union-attr]
            lock = _get_module_lock(name)  # other threads that import the module wait for it
            lock.acquire()
    if loader is None:
        if waits and type(module) is DeferredModule:
            _lock_unlock_module(name)
        return
    spec = module.__spec__
    assert spec is not None
    try:
        spec._initializing = True  # type: ignore[attr-defined]
        loader.real.exec_module(module)
        module.__class__ = ModuleType
        for settle in loader.deferral.when_loaded:
            settle(module)
    except BaseException:
        sys.modules.pop(name, None)  # as for any import that failed
        raise
    finally:
        spec._initializing = False  # type: ignore[attr-defined]
        lock.release()


def defer_imports() -> None:
    """Defer the heavy modules of this process that are not imported yet."""
    if os.environ.get(SWITCH, "") in ("", "0") and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _deferred_loader(module: ModuleType) -> _DeferredLoader | None:
    """The loader of a module that nothing has begun to load."""
    loader = getattr(module.__spec__, "loader", None)
    return loader if isinstance(loader, _DeferredLoader) else None


def _asked_by() -> str:
    """The module whose code asks for an attribute, with a dot behind its name."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib."):
        frame = frame.f_back  # `from package import name` asks by way of the import system
    return f"{frame.f_globals.get('__name__', '')}."


class _DeferredLoader(Loader):
    """Makes a `DeferredModule` in place of running the module's code."""

    def __init__(self, real: Loader, deferral: Deferral) -> None:
        self.real = real
        self.deferral = deferral

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = DeferredModule


class _SubmoduleLoader(Loader):
    """Loads a deferred package in front of a submodule of it, which is not run twice where that has imported it."""

    def __init__(self, real: Loader, package: ModuleType) -> None:
        self.real, self.package = real, package
        self.loaded: ModuleType | None = None
        self.loaded_spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        load(self.package, waits=False)  # while another thread loads it, a submodule is imported as ever
        self.loaded = sys.modules.get(spec.name)
        if self.loaded is not None:
            self.loaded_spec = self.loaded.__spec__
            return self.loaded
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module is self.loaded:
            if module.__spec__ is not self.loaded_spec:
                module.__spec__ = self.loaded_spec
            return
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.real
        self.real.exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the deferred modules and their submodules. It loads nothing: Python holds a lock while it looks."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if target is not None:  # importlib.reload
            if type(target) is DeferredModule:
                target.__class__ = ModuleType  # type: ignore[assignment]
            return None
        deferral = DEFERRED.get(fullname)
        package = sys.modules.get(fullname.rpartition(".")[0])
        is_below = package is not None and _deferred_loader(package) is not None
        is_deferred = deferral is not None and deferral.is_known()
        spec = PathFinder.find_spec(fullname, path) if is_below or is_deferred else None
        if spec is not None and spec.loader is not None:
            if package is not None and is_below:
                spec.loader = _SubmoduleLoader(spec.loader, package)
            elif deferral is not None:
                spec.loader = _DeferredLoader(spec.loader, deferral)
        return spec


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
    def _real(cls) -> Any:
        dynamo = sys.modules["torch._dynamo"]
        return () if type(dynamo) is DeferredModule else dynamo.OptimizedModule

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls._real())

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls._real())


class OptimizedModule(metaclass=_OptimizedModuleType):
    """Stands for the class of compiled modules; there is none as long as the compiler is not loaded."""


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None, wrapping: bool = True) -> Any:
    """Keep the compiler out of `fn`: there is nothing to do before it is loaded."""
    dynamo = sys.modules["torch._dynamo"]
    if type(dynamo) is not DeferredModule or not inspect.isfunction(fn):
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
    """Set the name that torchmetrics sets when it imports the module."""
    if not hasattr(signal, "hamming"):
        signal.hamming = signal.windows.hamming  # type: ignore[attr-defined]


_PLOTS = ("plot_single_or_multi_val", "plot_curve", "plot_confusion_matrix")
DEFERRED: dict[str, Deferral] = {
    "torch._dynamo": Deferral(
        "torch", ("2.13",), {"OptimizedModule": OptimizedModule, "disable": disable, "graph_break": graph_break}
    ),
    "scipy.signal": Deferral(
        "torchmetrics", ("1.8", "1.9"), {"hamming": _deferred_function("scipy.signal", "hamming")}, [_restore_hamming]
    ),
    "torchmetrics.utilities.plot": Deferral(
        "torchmetrics",
        ("1.8", "1.9"),
        # types of annotations, as torchmetrics has them where there is no matplotlib
        {"_AX_TYPE": object, "_CMAP_TYPE": object, "_PLOT_OUT_TYPE": tuple[object, object]}
        | {name: _deferred_function("torchmetrics.utilities.plot", name) for name in _PLOTS},
    ),
}
