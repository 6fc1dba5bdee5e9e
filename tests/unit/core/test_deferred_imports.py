"""Modules that load when they are used. Each script is a process of its own: a process imports a module once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ["torch._dynamo", "scipy.signal", "torchmetrics.utilities.plot"]
START = "import sys, holdfast, torch, pytorch_lightning\n"


def run(script: str, start: str = START, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", start + script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_lightning_and_optimizers_do_not_load_them() -> None:
    script = f"""
model = torch.nn.Linear(2, 1)
for cls in (torch.optim.SGD, torch.optim.AdamW):
    optimizer = cls(model.parameters(), lr=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
print(*[type(sys.modules[name]).__name__ for name in {NAMES}])
"""
    assert run(script).split() == ["DeferredModule"] * 3


@pytest.mark.slow
def test_the_environment_switches_it_off() -> None:
    script = f"print(*[type(sys.modules[name]).__name__ for name in {NAMES}])"
    assert run(script, HOLDFAST_PLAIN_IMPORTS="1").split() == ["module"] * 3


def test_they_step_aside_for_a_version_that_no_test_covers() -> None:
    script = """
import sys, holdfast, torch
torch.__version__ = "9.1.0+cpu"
import torch._dynamo
print(type(torch._dynamo).__name__)
"""
    assert run(script, start="") == "module"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_of_them_steps_aside(name: str) -> None:
    script = f"""
import dataclasses, sys
from holdfast.core import deferred_imports as deferred
deferred.DEFERRED["{name}"] = dataclasses.replace(deferred.DEFERRED["{name}"], versions=("0.1",))
import pytorch_lightning
print({{name: type(sys.modules[name]).__name__ for name in deferred.DEFERRED}}["{name}"])
"""
    assert run(script, start="") == "module"


def test_the_same_object_becomes_the_real_module() -> None:
    script = """
import torch._dynamo as before
assert type(before).__name__ == "DeferredModule"
before.config.verbose  # any other name
import torch._dynamo as after
from torch._dynamo.eval_frame import OptimizedModule
assert after is before is torch._dynamo is sys.modules["torch._dynamo"]
print(type(after).__name__, after.OptimizedModule is OptimizedModule)
"""
    assert run(script) == "module True"


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "import torch._dynamo.config",
        "from torch._dynamo import config",
        "import torch._dynamo.eval_frame",
        "import torch._inductor.config",
        "import torch.onnx",
        "import torch.export; torch.export.export(torch.nn.Linear(2, 1), (torch.ones(1, 2),))",
        "torch.compiler.reset()",
    ],
)
def test_a_submodule_is_loaded_once(statement: str) -> None:
    script = f"""
import importlib._bootstrap as bootstrap
names = []
load = bootstrap._load_unlocked
def counted(spec):
    names.append(spec.name)
    return load(spec)
bootstrap._load_unlocked = counted
{statement}
import torch._dynamo.config as config
ran = [name for name in names if name.startswith("torch._dynamo")]
specs = [(name, sys.modules[name].__spec__.name) for name in sys.modules if name.startswith("torch._dynamo")]
assert all(name == spec for name, spec in specs), specs
assert config is torch._dynamo.config
print(type(torch._dynamo).__name__, sorted(set(ran)) == sorted(ran) or [n for n in ran if ran.count(n) > 1])
"""
    printed = run(script)
    assert printed.startswith("module ")
    # the module that was asked for is handed over by the finder, which counts as a second load of its name only
    assert printed.endswith("True") or printed.count("'torch._dynamo.") == 2


@pytest.mark.slow
def test_what_lightning_holds_knows_a_compiled_module() -> None:
    script = """
from lightning_fabric.wrappers import OptimizedModule, _unwrap_compiled
model = torch.nn.Linear(2, 1)
assert not isinstance(model, OptimizedModule)
compiled = torch.compile(model, backend="eager")
assert isinstance(compiled, OptimizedModule)
compiled._compile_kwargs = {}
print(_unwrap_compiled(compiled)[0] is model, torch.equal(compiled(torch.ones(1, 2)), model(torch.ones(1, 2))))
"""
    assert run(script) == "True True"


@pytest.mark.slow
def test_a_disabled_function_is_disabled_once_the_compiler_is_there() -> None:
    script = """
calls = []
@torch.compiler.disable
def plain(x):
    calls.append(torch.compiler.is_compiling())
    return x + 1
assert plain(torch.ones(1)) == 2
assert type(sys.modules["torch._dynamo"]).__name__ == "DeferredModule"
graphs = []
def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward
compiled = torch.compile(lambda x: plain(x * 2) * 3, backend=backend)
assert compiled(torch.ones(1)) == 9
print(calls, len(graphs))
"""
    assert run(script) == "[False, False] 2"


@pytest.mark.slow
def test_a_name_that_nobody_has_is_an_attribute_error() -> None:
    script = """
import torch._dynamo
for module in (torch._dynamo, sys.modules["scipy.signal"]):
    try:
        module.no_such_name
    except AttributeError as error:
        print(error)
"""
    assert run(script).splitlines() == [
        "module 'torch._dynamo' has no attribute 'no_such_name'",
        "module 'scipy.signal' has no attribute 'no_such_name'",
    ]


@pytest.mark.slow
def test_signals_and_plots_work_when_they_are_wanted() -> None:
    script = """
import matplotlib
matplotlib.use("agg")
import torchmetrics
from scipy import signal
from scipy.signal import hamming, windows
assert (signal.hamming(5) == windows.hamming(5)).all()
assert hamming is signal.hamming
metric = torchmetrics.classification.BinaryAccuracy()
metric.update(torch.tensor([1, 0]), torch.tensor([1, 1]))
figure, axes = metric.plot()
print(type(figure).__name__)
"""
    assert run(script) == "Figure"


@pytest.mark.slow
def test_setting_an_attribute_reaches_the_real_module() -> None:
    script = """
import torch._dynamo
torch._dynamo.something = 3
print(type(torch._dynamo).__name__, torch._dynamo.something)
"""
    assert run(script) == "module 3"


@pytest.mark.slow
def test_only_libraries_are_answered() -> None:
    script = """
from torch._dynamo import OptimizedModule, disable, graph_break
import torch._dynamo
assert type(torch._dynamo).__name__ == "module"
assert disable is torch._dynamo.disable and graph_break is torch._dynamo.graph_break
print(type(torch.compile(torch.nn.Linear(2, 1), backend="eager")) is OptimizedModule)
"""
    assert run(script) == "True"


@pytest.mark.slow
def test_what_was_disabled_late_is_disabled() -> None:
    script = """
compiler_disable = torch.compiler.disable
import torch._dynamo.config
@compiler_disable
def plain(x):
    return x + 1
graphs = []
def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward
assert torch.compile(lambda x: plain(x * 2) * 3, backend=backend)(torch.ones(1)) == 9
from lightning_fabric.wrappers import OptimizedModule
assert issubclass(torch._dynamo.OptimizedModule, OptimizedModule)
print(len(graphs))
"""
    assert run(script) == "2"


@pytest.mark.slow
def test_threads_wait_for_the_one_that_loads() -> None:
    script = """
import threading
errors = []
def use(number):
    try:
        torch._dynamo.reset()
    except Exception as error:
        errors.append(error)
threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
def other():
    import sympy
threads += [threading.Thread(target=other)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
print(errors, any(thread.is_alive() for thread in threads))
"""
    assert run(script) == "[] False"


@pytest.mark.slow
def test_it_can_be_listed_pickled_and_reloaded() -> None:
    script = """
import importlib, pickle, pkgutil
import scipy.signal
deferred = sys.modules["scipy.signal"]
assert type(deferred).__name__ == "DeferredModule"
assert len(list(pkgutil.iter_modules(deferred.__path__))) > 10
assert pickle.loads(pickle.dumps(deferred)) is deferred
assert type(deferred).__name__ == "DeferredModule"
assert "butter" in dir(deferred)
assert type(deferred).__name__ == "module"
import torchmetrics.utilities.plot as plot
importlib.reload(plot)
print(type(plot).__name__, callable(plot.plot_curve))
"""
    assert run(script) == "module True"


def test_a_module_that_cannot_be_loaded_is_no_module(tmp_path: Path) -> None:
    script = """
from holdfast.core import deferred_imports as deferred
import types
class Broken:
    def create_module(self, spec): return None
    def exec_module(self, module): raise ImportError("broken")
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
spec = ModuleSpec("broken_module", deferred._DeferredLoader(Broken(), deferred.Deferral("torch", ("2.13",), {"x": 1})))
module = module_from_spec(spec)
sys.modules["broken_module"] = module
spec.loader.exec_module(module)
try:
    module.y
except ImportError as error:
    print(error, "broken_module" in sys.modules)
"""
    assert run(script) == "broken False"
