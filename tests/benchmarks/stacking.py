"""Steps of members that are trained together, beside a plain PyTorch loop over them, in one process and one thread.

    python tests/benchmarks/stacking.py                 # MLP 64-64-64-10; with batch norm and dropout; a small CNN
    python tests/benchmarks/stacking.py --members 64
    python tests/benchmarks/stacking.py --choice        # the cost of choosing, where training in turn is as fast
    python tests/benchmarks/stacking.py --whole         # `ensemble=seeds`, 20 epochs on digits, all but start-up

Both sides take the same batches of 64 random rows. A machine that does other things makes single numbers useless: the
sides take turns, and each ratio is the median of those of the rounds. Whole trainings are measured once, in CPU seconds
beside seconds, after a run that is not counted: imports and the preparation of the rows are start-up. A choice is
measured once, in CPU seconds, against as many steps in turn as the training has, each as fast as the fastest of some.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

ROUNDS, STEPS = 15, 8
MLP = ["model=mlp", "model.hidden=[64,64]", "optimizer=adam"]
CASES = {
    "mlp": ([*MLP, "model.norm=none"], 0, (64,)),
    "mlp, batch norm and dropout": ([*MLP, "model.norm=batch", "model.dropout=0.1"], 0, (64,)),
    "cnn, 8 x 8 pixels": (["model=cnn", "model.norm=none", "optimizer=adam"], 8, (8, 8, 1)),
}
# words, members, shape of a row, epochs over 1438 rows
CHOICES = {
    "wide cnn, 28 x 28 pixels": (["model=cnn", "model.channels=[64,128]", "optimizer=adam"], 5, (28, 28, 1), 3),
    "cnn, 28 x 28 pixels": (["model=cnn", "optimizer=adam"], 5, (28, 28, 1), 5),
    "wide mlp": (["model=mlp", "model.hidden=[512,512]", "optimizer=adam"], 5, (64,), 20),
}


def members(words: list[str], count: int, shape: tuple[int, ...]) -> list[Any]:
    """What a run builds, with seeds of its own."""
    import numpy as np

    from holdfast.training.fit import build
    from holdfast.training.trainer import build_trainer
    from small_runs import Data, make_config

    random = np.random.default_rng(0)
    x = random.integers(0, 17, (1438, *shape)).astype(np.uint8 if len(shape) == 3 else np.float32)
    y = random.integers(0, 10, 1438)
    built = []
    for seed in range(count):
        config = make_config(*words, seed=seed, batch_size=64)
        data = Data("multiclass", x, y, 10, seed=seed)
        data.batch_size = 64
        built.append(build(config, data, build_trainer(config, Path(tempfile.gettempdir()))))
    return built


def loop(built: list[Any], *, is_fused: bool) -> Callable[[], None]:
    """A step of every member, as one writes it without a framework."""
    import torch
    from torch.nn.functional import cross_entropy

    sides = []
    for each in built:
        x, y = next(iter(each.datamodule.train_dataloader()))
        model = each.module.model
        optimizer = torch.optim.Adam(model.parameters(), **({"fused": True} if is_fused else {}))
        sides.append((model, optimizer, each.module.transform(x), y))

    def step() -> None:
        for model, optimizer, x, y in sides:
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()

    return step


def compare(name: str, words: list[str], count: int, shape: tuple[int, ...]) -> None:
    """Print milliseconds of a step of all members by each way, and the ratios."""
    from holdfast.training.stacking.stack import Stack

    ways: dict[str, Callable[[], object]] = {}
    stack = Stack(members(words, count, shape))
    batch = next(stack.train_batches(0))
    ways["stack"] = lambda: stack.step(batch)
    ways["loop"] = loop(members(words, count, shape), is_fused=False)
    ways["loop, fused"] = loop(members(words, count, shape), is_fused=True)
    rounds: dict[str, list[float]] = {kind: [] for kind in ways}
    for _ in range(ROUNDS):
        for kind, step in ways.items():
            rounds[kind].append(statistics.median(seconds_of(step) for _ in range(STEPS if kind == "stack" else 2)))
    times = "  ".join(f"{kind} {1e3 * statistics.median(seconds):.2f} ms" for kind, seconds in rounds.items())
    ratios = [
        statistics.median(alone / together for alone, together in zip(rounds[kind], rounds["stack"], strict=True))
        for kind in ("loop", "loop, fused")
    ]
    faster = f"{ratios[0]:.1f}x of the loop, {ratios[1]:.1f}x of the fused one"
    print(f"{name}, {count} members: {times}; {faster}", flush=True)


def seconds_of(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def compare_choice(name: str, words: list[str], count: int, shape: tuple[int, ...], num_epochs: int) -> None:
    """Print the CPU seconds of the choice and of the training in turn, and the speed of choice and chosen way."""
    from holdfast.training.stacking.choice import stack_if_faster
    from holdfast.training.stacking.layout import NotStackable

    built = members([*words, f"max_epochs={num_epochs}"], count, shape)
    num_steps = num_epochs * len(built[0].datamodule.train_dataloader())
    stack, way, started = None, "together", time.process_time()
    try:
        stack = stack_if_faster(built)
    except NotStackable as error:
        way = f"in turn ({error})"
    chosen = time.process_time() - started
    in_turn = num_steps * count * least_seconds(loop(built[:1], is_fused=True))
    trained = in_turn
    if stack is not None:
        batch = next(stack.train_batches(0))
        trained = num_steps * least_seconds(lambda: stack.step(batch))
    speed = in_turn / (chosen + trained)
    print(f"{name}: {chosen:.2f} s to choose, {in_turn:.1f} s in turn: {speed:.3f}x of it; {way}", flush=True)


def least_seconds(step: Callable[[], object]) -> float:
    """The least CPU seconds of some steps."""
    seconds = []
    for _ in range(STEPS):
        started = time.process_time()
        step()
        seconds.append(time.process_time() - started)
    return min(seconds)


def compare_whole(count: int, folder: Path) -> None:
    """Print the seconds of `ensemble=seeds` for 20 epochs, with members trained together and in turn."""
    from holdfast.experiment.experiment import Experiment

    words = [*CASES["mlp"][0], "data=digits", "batch_size=64", "max_epochs=20", "ensemble=seeds"]
    words += ["trainer=cpu", "check=none", "logger=none", "threads=1"]

    def ensemble(way: str, size: int) -> Any:
        own = [f"ensemble.size={size}", f"ensemble.stack={str(way != 'in turn').lower()}"]
        return Experiment.compose([*words, *own, f"hydra.run.dir={folder / way}"])

    ensemble("not counted", 2).run()
    seconds: dict[str, tuple[float, float]] = {}
    for way in ("together", "in turn"):
        experiment = ensemble(way, count)
        cpu_started, started = time.process_time(), time.perf_counter()
        experiment.run()
        seconds[way] = (time.process_time() - cpu_started, time.perf_counter() - started)
    for way, (cpu, wall) in seconds.items():
        print(f"{way}, {count} members, 20 epochs: {cpu:.2f} CPU seconds, {wall:.2f} seconds", flush=True)
    cpu_ratio, ratio = (seconds["in turn"][place] / seconds["together"][place] for place in (0, 1))
    print(f"together is {cpu_ratio:.1f}x as fast in CPU seconds, {ratio:.1f}x in seconds", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--choice", action="store_true", help="measure the choice between the ways")
    parser.add_argument("--whole", action="store_true", help="measure whole trainings in the place of steps")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    if arguments.choice:
        for name, choice in CHOICES.items():
            compare_choice(name, *choice)
        return
    if arguments.whole:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HOLDFAST_HOME"] = str(Path(folder, "home"))
            Path(folder, "work").mkdir()
            os.chdir(Path(folder, "work"))
            compare_whole(arguments.members, Path("runs"))
            os.chdir("/")
        return
    for name, (words, count, shape) in CASES.items():
        compare(name, words, count or arguments.members, shape)


if __name__ == "__main__":
    main()
