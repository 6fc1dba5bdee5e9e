from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import holdfast
from holdfast.core.errors import InputError
from holdfast.experiment.experiment import Experiment
from holdfast.training import fit as fitting
from holdfast.training import trainer
from holdfast.training.checkpoints import read_checkpoint

pytestmark = pytest.mark.usefixtures("project")
SMALL = ["model.hidden=[8]", "max_epochs=2", "logger=none"]


def weights(run: holdfast.Run) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read_checkpoint(run.folder / run.record["best"]["checkpoint"])["state_dict"]
    return state


def same(first: holdfast.Run, other: holdfast.Run) -> bool:
    """The same weights, to the bit."""
    a, b = weights(first), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Ends:
    """A reporter that ends the run in an epoch."""

    def __init__(self, epoch: int, stop: holdfast.Stop) -> None:
        self.last, self.stop, self.seen = epoch, stop, list[tuple[int, float]]()

    def epoch(self, number: int, metrics: Any) -> holdfast.Stop | None:
        self.seen.append((number, metrics["val/loss"]))
        return self.stop if number == self.last else None


def test_a_run_is_built_once_and_does_not_depend_on_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    for module, name in ((fitting, "build_trainable"), (trainer, "build_trainer")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _real=real, _name=name: built.append(_name) or _real(*a))
    checked = Experiment.compose(SMALL)
    checked.check()
    assert sorted(built) == ["build_trainable", "build_trainer"]
    state = torch.get_rng_state()
    torch.rand(7)
    first = checked.run()
    assert sorted(built) == ["build_trainable", "build_trainer"]
    torch.set_rng_state(state)
    assert same(first, Experiment.compose(SMALL).run())


def test_the_random_state_of_the_caller_stays() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    Experiment.compose(SMALL).run()
    assert torch.equal(state, torch.get_rng_state())


def test_two_at_once_in_one_process_are_as_each_alone() -> None:
    experiment, other = Experiment.compose([*SMALL, "seed=1"]), Experiment.compose([*SMALL, "seed=2"])
    assert experiment.folder != other.folder
    experiment.check()
    other.check()
    second, first = other.run(), experiment.run()
    assert not same(first, second)
    assert same(first, Experiment.compose([*SMALL, "seed=1"]).run())
    assert same(second, Experiment.compose([*SMALL, "seed=2"]).run())


def test_the_hydra_of_another_app_is_left_alone(project: Path) -> None:
    (project / "theirs").mkdir()
    with initialize_config_dir(str(project / "theirs"), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        run = Experiment.compose(SMALL).run()
        assert GlobalHydra.instance().hydra is theirs
    assert run.status == "completed"


def test_what_a_config_takes_from_hydra_is_resolved() -> None:
    experiment = Experiment.compose([*SMALL, "data.name='${hydra:runtime.output_dir}'"])
    assert experiment.config.data.name == str(experiment.folder)


def test_the_record_is_that_of_the_command_line(project: Path) -> None:
    run = Experiment.compose(["lr=0.01", *SMALL]).run()
    assert run.record["overrides"] == ["lr=0.01", *SMALL]
    assert run.record["choices"]["model"] == "mlp"
    names = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert {"run.json", "metrics.csv", "report.html", ".hydra/overrides.yaml", "checkpoints/last.ckpt"} <= names
    assert run.folder.is_relative_to(project / "outputs" / "runs")


def test_a_reporter_stops_and_prunes() -> None:
    stopping = Ends(2, holdfast.Stop("that is enough"))
    run = Experiment.compose([*SMALL, "max_epochs=5"]).run(stopping)
    assert [number for number, _ in stopping.seen] == [1, 2]
    assert stopping.seen[1][1] == run.history["val/loss"].iloc[1]
    assert (run.status, run.record["stop_reason"]) == ("completed", "that is enough")
    pruned = Experiment.compose([*SMALL, "max_epochs=5"]).run(Ends(1, holdfast.Stop("is behind", is_pruned=True)))
    assert (pruned.status, pruned.record["stop_reason"], len(pruned.history)) == ("pruned", "is behind", 1)
    assert pruned.value is not None
    with pytest.raises(InputError, match="is pruned; allowed: completed"):
        holdfast.freeze(pruned)
    with pytest.raises(InputError, match=r"is pruned; allowed: a run that is interrupted or failed"):
        Experiment.compose([f"resume={pruned.folder}"])


def test_a_folder_holds_one_run() -> None:
    experiment = Experiment.compose(SMALL)
    experiment.run()
    again = Experiment(experiment.config, experiment.folder)
    with pytest.raises(InputError, match="holds a run already"):
        again.check()


def test_an_error_stands_in_the_record() -> None:
    experiment = Experiment.compose([*SMALL, "lr=1e9"])
    with pytest.raises(holdfast.RunFailed, match="train/loss: is"):
        experiment.run()
    record = holdfast.load_run(experiment.folder).record
    assert record["status"] == "failed"
    assert record["error"]["code"] == "diverged"
