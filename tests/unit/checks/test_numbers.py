"""The checks that measure: against the numbers of the texts and of hand-made data."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import holdfast
from holdfast.checks import augmentation, baseline, chance_loss, mistakes, overfit_tiny, regularization_loss, timing
from holdfast.checks.probes.data import augmentation_mistakes, data_mistakes
from holdfast.checks.probes.first_steps import first_step_mistakes
from holdfast.checks.probes.rows import row_mistakes
from holdfast.checks.probes.scales import input_mistakes
from holdfast.checks.run import untouched
from holdfast.checks.subject import Subject
from holdfast.checks.verdict import Verdict
from holdfast.experiment.experiment import Experiment


def subject(*overrides: str, **parts: Any) -> Subject:
    small = [] if "model" in parts else ["model.hidden=[16]"]
    return Subject(Experiment.compose(["logger=none", *small, *overrides], parts=parts))


def only(verdicts: list[Verdict]) -> Verdict:
    (verdict,) = verdicts
    return verdict


@pytest.mark.parametrize(
    ("overrides", "chance"),
    [
        ([], math.log(10)),
        (["loss=cross_entropy", "loss.label_smoothing=0.1"], math.log(10)),
        (["loss=hinge"], 9.0),
        (["data=breast_cancer"], math.log(2)),
        (["data=diabetes"], 1.0),
    ],
)
def test_the_chance_loss_is_that_of_the_texts(overrides: list[str], chance: float) -> None:
    verdict = only(chance_loss(subject(*overrides)))
    assert verdict.evidence["chance"] == pytest.approx(chance, rel=0.02)
    assert len(verdict.evidence["losses"]) == 3
    assert verdict.verdict == "pass"


class Large(nn.Module):
    """Outputs that are too large at the start."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Flatten(), nn.Linear(64, num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        return 40 * self.map(x)


class Stuck(nn.Module):
    """One number for all rows: nothing can be learnt by heart but the mean."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.bias.expand(len(x), -1)


def test_large_first_outputs_are_told() -> None:
    verdict = only(chance_loss(subject(model=Large)))
    assert verdict.verdict == "doubtful"
    assert "the first outputs are too large" in verdict.causes[0]


def test_a_few_rows_are_learnt_by_heart() -> None:
    verdict = only(overfit_tiny(subject("loss=cross_entropy", "loss.label_smoothing=0.1", "model.dropout=0.5")))
    assert verdict.verdict == "pass"
    assert [trial["rows"] for trial in verdict.evidence["tried"]] == [1, 4, 10, 20, 100]
    assert all(trial["share_right"] == 1.0 for trial in verdict.evidence["tried"])
    # the entropy of the smoothed target is the floor
    entropy = -(0.91 * math.log(0.91) + 9 * 0.01 * math.log(0.01))
    assert verdict.evidence["tried"][-1]["floor"] == pytest.approx(entropy, rel=0.01)


def test_rows_that_cannot_be_learnt_are_told_with_their_number() -> None:
    verdict = only(overfit_tiny(subject(model=Stuck), num_steps=60))
    assert verdict.verdict == "doubtful"
    assert verdict.causes[0].startswith("4 rows are not learnt by heart")
    assert verdict.evidence["not_tried"] == [10, 20, 100]


def test_too_small_a_model_is_told_from_a_bug() -> None:
    narrow = ["data=diabetes", "model.hidden=[1]", "model.norm=none", "model.activation=tanh"]
    verdict = only(overfit_tiny(subject(*narrow), counts=(1, 100), num_steps=100))
    assert verdict.verdict == "doubtful"
    assert "with_twice_the_width" in verdict.evidence


class Shallow(nn.Sequential):
    """A network that learns twenty rows by heart, and in few steps most of a hundred."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__(nn.Linear(math.prod(input_shape), 30), nn.Tanh(), nn.Linear(30, num_outputs))


def test_most_of_a_hundred_rows_are_enough() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(400, 2)), columns=list("ab"))
    frame["y"] = np.where((frame.a > 0) ^ (draw.random(400) < 0.15), "p", "q")
    frame.to_csv("values.csv", index=False)
    some = subject("data=csv", "data.path=values.csv", "data.target=y", model=Shallow)
    verdict = only(overfit_tiny(some, counts=(20, 100), num_steps=200))
    assert verdict.verdict == "pass"
    assert verdict.evidence["numbers_of_the_model"] == 121
    assert not verdict.evidence["tried"][-1]["is_learnt"]
    assert verdict.evidence["tried"][-1]["is_mostly_learnt"]


def test_more_strength_more_loss() -> None:
    verdict = only(regularization_loss(subject("regularization=l2")))
    terms = verdict.evidence["terms_by_factor"]
    assert verdict.verdict == "pass"
    assert terms["10"] == pytest.approx(10 * terms["1"], rel=1e-4)
    assert only(regularization_loss(subject())).verdict == "skipped"


def test_the_time_of_a_step_and_of_the_run() -> None:
    verdict = only(timing(subject("max_epochs=3")))
    evidence = verdict.evidence
    assert evidence["steps"] == 3 * 17
    step = evidence["step_data_s"] + evidence["step_compute_s"]
    assert evidence["estimated_run_s"] == pytest.approx(51 * step, rel=1e-3)


def test_baselines_on_the_same_rows() -> None:
    verdict = only(baseline(subject("data=breast_cancer")))
    scores = verdict.evidence["scores"]
    assert verdict.verdict == "pass"
    assert scores["majority"] < 0.7
    assert min(scores["linear"], scores["trees"]) > 0.9
    values = only(baseline(subject("data=diabetes"))).evidence["scores"]
    assert abs(values["mean"]) < 0.1 < values["linear"]


def table(*, leak: bool) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 300)
    noise = draw.normal(size=(300, 3))
    return pd.DataFrame({"a": noise[:, 0], "b": noise[:, 1], "c": 3.0 * y + 1 if leak else noise[:, 2], "y": y})


def test_a_leak_is_told_at_training_time(capsys: pytest.CaptureFixture[str]) -> None:
    run = holdfast.train(["max_epochs=10", "lr=0.05", "logger=none"], data=table(leak=True), target="y")
    verdict = next(verdict for verdict in run.record["checks"] if verdict["name"] == "baseline")
    assert verdict["verdict"] == "doubtful"
    assert "the column 'c' alone predicts the target (1.000" in verdict["causes"][0]
    assert "the column 'c' alone predicts the target" in capsys.readouterr().err


def test_a_network_that_does_not_beat_the_majority_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    frame = table(leak=False)
    frame["y"] = (np.arange(300) % 10 == 0).astype(int)
    run = holdfast.train(["max_epochs=1", "logger=none"], data=frame, target="y")
    verdict = next(verdict for verdict in run.record["checks"] if verdict["name"] == "baseline")
    assert verdict["verdict"] == "doubtful"
    assert "the network is not better than the majority class" in capsys.readouterr().err


def labels(*, leak: bool) -> pd.DataFrame:
    """Three labels that noise, or three columns, tell."""
    draw = np.random.default_rng(0)
    x, noise = draw.normal(size=(400, 3)), draw.normal(size=(400, 3))
    y = (x > np.array([0.0, 0.5, 1.5])).astype(int)
    frame = pd.DataFrame(x if leak else noise, columns=list("abc"))
    return frame.assign(**{f"y{number}": y[:, number] for number in range(3)})


def test_labels_have_baselines() -> None:
    labels(leak=True).to_csv("labels.csv", index=False)
    target = ["data=csv", "data.path=labels.csv", "data.target=[y0,y1,y2]"]
    verdict = only(baseline(subject(*target)))
    scores = verdict.evidence["scores"]
    assert verdict.evidence["metric"] == "val/accuracy"
    assert 0.2 < scores["majority"] < 0.5
    assert min(scores["linear"], scores["trees"]) > 0.85
    assert verdict.causes[0].startswith("the column 'a' alone predicts the target (1.000")


def test_targets_that_no_simple_model_predicts_are_doubted() -> None:
    labels(leak=False).to_csv("labels.csv", index=False)
    verdict = only(baseline(subject("data=csv", "data.path=labels.csv", "data.target=y0", "data.drop=[y1,y2]")))
    assert verdict.verdict == "doubtful"
    assert verdict.causes[0].startswith("neither a linear model nor trees predict the target better")


def test_values_that_were_sorted_apart_from_their_rows_are_doubted() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, 3)), columns=list("abc"))
    frame.assign(y=np.sort(frame.a)).to_csv("sorted.csv", index=False)
    verdict = only(baseline(subject("data=csv", "data.path=sorted.csv", "data.target=y")))
    assert verdict.evidence["metric"] == "val/r2"
    assert verdict.causes[0].startswith("neither a linear model nor trees predict the target better")


@pytest.mark.parametrize(
    ("target", "lr", "words"),
    [
        (["y0", "y1", "y2"], 1e-6, "not better than the majority class: val/accuracy"),
        ("value", 1e-6, "not better than the mean: val/r2"),
        ("twice", 0.05, "the column 'a' alone predicts the target (1.000"),
    ],
)
def test_labels_and_values_are_told_as_well(
    target: Any, lr: float, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = labels(leak=False)
    frame = frame.assign(value=np.random.default_rng(3).normal(size=400), twice=2.0 * frame.a)
    names = [target] if isinstance(target, str) else target
    overrides = ["max_epochs=20", f"lr={lr}", "logger=none"]
    run = holdfast.train(overrides, data=frame[["a", "b", "c", *names]], target=target)
    verdict = next(verdict for verdict in run.record["checks"] if verdict["name"] == "baseline")
    assert words in verdict["causes"][0]
    assert f"check baseline: doubtful: {verdict['causes'][0]}" in capsys.readouterr().err


@pytest.mark.parametrize(("is_copied", "word"), [(True, "fail"), (False, "doubtful")])
def test_val_rows_among_train_rows(is_copied: bool, word: str) -> None:
    draw = np.random.default_rng(0)
    if is_copied:  # the same rows in both parts
        rows = draw.normal(size=(200, 3)).round(4)
        frame = pd.DataFrame(rows, columns=list("abc")).assign(part="train")
        frame = pd.concat([frame, frame[:60].assign(part="val")])
    else:  # few values, which repeat by nature
        frame = pd.DataFrame(draw.integers(0, 4, size=(300, 3)), columns=list("abc"))
        frame["part"] = ["train", "val", "train"] * 100
    frame["y"] = (frame.a > frame.a.median()).astype(int)
    frame.to_csv("rows.csv", index=False)
    parts = ["data=csv", "data.path=rows.csv", "data.target=y", "data.split_column=part"]
    verdict = only(mistakes(subject(*parts)))
    assert verdict.verdict == word
    assert verdict.causes[0].startswith("val rows are among the train rows")


@pytest.mark.parametrize(("sentinel", "word"), [(-99_999_999.0, "doubtful"), (3.0, "pass")])
def test_targets_that_are_far_from_all_others(sentinel: float, word: str) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(400, 3)), columns=list("abc"))
    frame["y"] = 1000.0 * frame.a + draw.normal(size=400)
    frame.loc[::50, "y"] = sentinel
    frame.to_csv("values.csv", index=False)
    values = subject("data=csv", "data.path=values.csv", "data.target=y", "data.task=regression")
    names = [finding.mistake for finding in data_mistakes(values)]
    assert names == (["targets_apart"] if word == "doubtful" else [])


@pytest.mark.parametrize("factor", [1.0, 100.0])
@pytest.mark.parametrize("spread", [0.4, 2.0])
def test_targets_in_other_units_and_heavy_tails(factor: float, spread: float) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(600, 3)), columns=list("abc"))
    frame["constant"] = 1.0
    frame["y"] = draw.lognormal(12.0, spread, 600) * np.where(draw.random(600) < 0.04, factor, 1.0)
    frame.to_csv("values.csv", index=False)
    values = subject("data=csv", "data.path=values.csv", "data.target=y", "data.task=regression")
    names = [finding.mistake for finding in data_mistakes(values)]
    assert names == (["targets_apart"] if (factor, spread) == (100.0, 0.4) else [])


@pytest.mark.parametrize(("sentinel", "word"), [(-9999.0, "doubtful"), (0.5, "pass")])
def test_numbers_that_are_far_from_all_others_of_their_column(sentinel: float, word: str) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(400, 3)), columns=list("abc"))
    frame["y"] = np.where(frame.a > 0, "p", "q")
    frame.loc[::40, "b"] = sentinel
    frame.to_csv("values.csv", index=False)
    findings = list(data_mistakes(subject("data=csv", "data.path=values.csv", "data.target=y")))
    assert [finding.mistake for finding in findings] == (["values_apart"] if word == "doubtful" else [])
    assert not findings or findings[0].evidence["columns"] == ["b"]


@pytest.mark.parametrize(("copies", "noise", "word"), [(2, 0.01, "doubtful"), (4, 0.01, "doubtful"), (2, 3.0, "pass")])
def test_near_copies_in_both_parts(copies: int, noise: float, word: str) -> None:
    draw = np.random.default_rng(0)
    rows = np.repeat(draw.normal(size=(800 // copies, 5)), copies, axis=0)
    frame = pd.DataFrame(rows + noise * draw.normal(size=rows.shape), columns=list("abcde"))
    frame["y"] = np.where(rows[:, 0] > 0, "p", "q")
    frame.to_csv("copies.csv", index=False)
    names = [finding.mistake for finding in data_mistakes(subject("data=csv", "data.path=copies.csv", "data.target=y"))]
    assert names == (["val_rows_near_train_rows"] if word == "doubtful" else [])


def test_columns_of_few_values_have_no_near_copies() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.integers(0, 9, size=(1200, 2)) / 10, columns=list("ab"))
    frame[["c", "d"]] = draw.normal(size=(1200, 2))
    frame["y"] = np.where(frame.c > 0, "p", "q")
    frame.to_csv("values.csv", index=False)
    assert not list(data_mistakes(subject("data=csv", "data.path=values.csv", "data.target=y")))


class Forecast(nn.Module):
    """Normalises each window by itself, and gives its level back or not."""

    is_given_back = False

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(math.prod(input_shape), 24), nn.GELU(), nn.Linear(24, num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-4
        outputs: Tensor = self.layers((x - mean) / spread)
        return outputs * spread + mean if self.is_given_back else outputs


class GivenBack(Forecast):
    is_given_back = True


@pytest.mark.parametrize(
    ("model", "drift", "names"),
    [
        (Forecast, 1.0, ["level_ignored"]),
        (GivenBack, 1.0, []),
        (Forecast, 0.0, []),  # the target has nothing to do with the level
    ],
)
def test_a_level_that_is_taken_away_and_not_given_back(model: type[nn.Module], drift: float, names: list[str]) -> None:
    draw = np.random.default_rng(0)
    windows = draw.normal(size=(500, 9)).cumsum(axis=1) + 9.0 * draw.normal(size=(500, 1))
    frame = pd.DataFrame(windows[:, :8], columns=list("abcdefgh"))
    frame["y"] = drift * windows[:, 8] + draw.normal(size=500)
    frame.to_csv("windows.csv", index=False)
    some = subject("data=csv", "data.path=windows.csv", "data.target=y", "data.task=regression", model=model)
    assert [finding.mistake for finding in row_mistakes(some)] == names


class Packed(nn.Module):
    """Steps of images in a packed sequence, which has no shape; or the rows of a batch taken for steps."""

    is_packed = True

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.recurrent, self.last = nn.GRU(8, 16), nn.Linear(16, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.reshape(len(x), 8, 8)
        if not self.is_packed:
            return self.last(self.recurrent(steps)[0].mean(dim=1))
        packed = nn.utils.rnn.pack_padded_sequence(steps, torch.full((len(x),), 8), batch_first=True)
        return self.last(self.recurrent(packed)[1][-1])


class BatchAsSteps(Packed):
    is_packed = False


@pytest.mark.parametrize(("model", "names"), [(Packed, []), (BatchAsSteps, ["rows_see_each_other"])])
def test_packed_sequences_are_no_rows_taken_for_steps(model: type[nn.Module], names: list[str]) -> None:
    assert [finding.mistake for finding in row_mistakes(subject(model=model))] == names


class Mirrored(nn.Module):
    """Mirrors half of the images."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(-1), images)


@pytest.mark.parametrize(("is_by_side", "word"), [(True, "doubtful"), (False, "pass")])
def test_an_augmentation_that_changes_the_class(is_by_side: bool, word: str) -> None:
    draw = np.random.default_rng(0)
    classes, images = draw.integers(0, 2, 300), draw.integers(0, 80, size=(300, 8, 8, 1))
    for image, label in zip(images, classes, strict=True):  # a bright half: left or right, or top or bottom
        half = slice(0, 4) if label else slice(4, 8)
        image[(slice(None), half) if is_by_side else half] += 150
    np.savez("halves.npz", x=images.astype(np.uint8), y=classes)
    rows = ["data=arrays", "data.path=halves.npz"]
    assert only(augmentation(subject(*rows, augment=Mirrored))).verdict == word
    assert only(augmentation(subject(*rows))).verdict == "skipped"


class OneLayer(nn.Linear):
    """A linear model, which has fewer numbers than a hundred rows have targets."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__(math.prod(input_shape), num_outputs)


def test_a_small_model_must_do_as_well_as_a_linear_one() -> None:
    small = subject("data=diabetes", model=OneLayer)
    tried = only(overfit_tiny(small)).evidence["tried"]
    assert tried[-1]["rows"] == 100
    assert tried[-1]["is_learnt"]
    assert tried[-1]["loss_of_a_linear_model"] > tried[-1]["floor"]


class InAnotherOrder(nn.Module):
    """Gives the images of a batch back in another order."""

    def forward(self, images: Tensor) -> Tensor:
        return images[torch.randperm(len(images))]


class WithItsNeighbour(nn.Module):
    """Mixes each image with the one before."""

    def forward(self, images: Tensor) -> Tensor:
        return 0.7 * images + 0.3 * images.roll(1, 0)


class Noisy(nn.Module):
    """Adds noise to each image by itself."""

    def forward(self, images: Tensor) -> Tensor:
        return images + 0.1 * torch.randn(images.shape)


@pytest.mark.parametrize(
    ("augmentation", "how"),
    [
        (InAnotherOrder, "gives the rows of a batch in another order"),
        (WithItsNeighbour, "mixes the rows of a batch"),
        (Noisy, ""),
    ],
)
def test_an_augmentation_that_mixes_rows(augmentation: type[nn.Module], how: str) -> None:
    causes = [finding.cause for finding in augmentation_mistakes(subject(augment=augmentation))]
    assert causes == ([f"the augmentation {how}, and their targets stay where they are"] if how else [])


def of_whole_numbers(optimizer: torch.optim.Optimizer, *, warmup: int) -> Any:
    """A warm-up by a whole division, which is 0 until its end."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) // warmup))


@pytest.mark.parametrize(("warmup", "is_told"), [(20_000, True), (3, False)])
def test_a_rate_that_is_zero_in_every_step(warmup: int, is_told: bool) -> None:
    scheduled = subject("max_epochs=5", schedule=functools.partial(of_whole_numbers, warmup=warmup))
    with untouched(0):
        findings = [finding for finding in first_step_mistakes(scheduled) if finding.mistake == "rate_of_zero"]
    assert [finding.evidence["steps"] for finding in findings] == ([85] if is_told else [])


@pytest.mark.parametrize(("accumulated", "is_told"), [(100, True), (2, False)])
def test_a_step_that_takes_all_rows(accumulated: int, is_told: bool) -> None:
    run = subject(f"trainer.accumulate_grad_batches={accumulated}")
    names = [finding.mistake for finding in first_step_mistakes(run)]
    assert names == (["few_steps"] if is_told else [])


def by_steps(optimizer: torch.optim.Optimizer, total_steps: int) -> Any:
    """A tenth of the rate after each five steps, which were meant to be epochs."""
    return torch.optim.lr_scheduler.StepLR(optimizer, 5)


@pytest.mark.parametrize(
    ("schedule", "steps"), [(functools.partial(torch.optim.lr_scheduler.StepLR, step_size=5), []), (by_steps, [20])]
)
def test_a_rate_that_is_gone_early(schedule: Any, steps: list[int]) -> None:
    scheduled = subject("max_epochs=5", schedule=schedule)
    with untouched(0), warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = [finding for finding in first_step_mistakes(scheduled) if finding.mistake == "rate_gone_early"]
    assert [finding.evidence["last_step"] for finding in findings] == steps


class InBytes(nn.Module):
    """Gives images of 0 to 255 in place of 0 to 1."""

    def forward(self, images: Tensor) -> Tensor:
        return images * 255


def test_an_augmentation_that_gives_other_units() -> None:
    causes = [finding.cause for finding in augmentation_mistakes(subject(augment=InBytes))]
    assert [cause.startswith("the augmentation gives rows of other units") for cause in causes] == [True]


class Placed(nn.Module):
    """A transformer over the eight lines of a digit, with a position that is added along a dimension."""

    def __init__(self, dimension: int, *, num_outputs: int) -> None:
        super().__init__()
        self.dimension, self.positions = dimension, nn.Embedding(512, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.out = nn.Linear(8, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        lines = x.reshape(len(x), 8, 8)
        places = self.positions(torch.arange(lines.shape[self.dimension])).unsqueeze(1 - self.dimension)
        outputs: Tensor = self.out(self.layer(lines + places).mean(dim=1))
        return outputs


@pytest.mark.parametrize("dimension", [0, 1])
def test_a_position_along_the_batch(dimension: int) -> None:
    placed = subject(model=functools.partial(Placed, dimension=dimension))
    with untouched(0):
        causes = [finding.cause for finding in row_mistakes(placed)]
    assert ["its place in the batch" in cause for cause in causes] == ([True] if dimension == 0 else [])


class Bag(nn.Module):
    """The mean of the embeddings of ids."""

    def __init__(self, *, num_outputs: int) -> None:
        super().__init__()
        self.embed, self.out = nn.EmbeddingBag(30, 8), nn.Linear(8, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(self.embed(x.long().clamp(0, 29)))
        return outputs


def test_ids_that_were_standardised_are_told() -> None:
    draw = np.random.default_rng(0)
    ids = draw.integers(0, 30, size=(300, 12))
    np.savez("ids.npz", x=ids, y=(ids == 3).sum(axis=1).clip(max=1))
    tokens = ["data=arrays", "data.path=ids.npz"]
    verdict = only(mistakes(subject(*tokens, model=Bag)))
    assert "inputs_rounded" in verdict.evidence
    assert any("ids of an embedding, which the transform has standardised" in cause for cause in verdict.causes)
    assert "inputs_rounded" not in only(mistakes(subject(*tokens, "transform=none", model=Bag))).evidence


class LogProbabilities(nn.Module):
    """Gives the logarithms of probabilities, as a loss of its own wants them."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 32), nn.ReLU())
        self.out = nn.Linear(32, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.log_softmax(self.out(self.layers(x)), dim=1)


def smoothed_nll(*, task: str) -> Any:
    """A loss that has no least value over outputs that are no logarithms of probabilities."""
    return lambda outputs, y: 0.9 * functional.nll_loss(outputs, y) - 0.1 * outputs.mean()


def test_the_floor_of_a_loss_of_log_probabilities() -> None:
    verdict = only(overfit_tiny(subject(model=LogProbabilities, loss=smoothed_nll), counts=(1, 4)))
    assert verdict.verdict == "pass"
    assert verdict.evidence["tried"][0]["floor"] == pytest.approx(0.5, abs=0.01)


class Looked(nn.Module):
    """Looks all columns up in a table, and has no other weights."""

    def __init__(self, *, input_shape: Sequence[int], num_outputs: int, category_sizes: Sequence[int]) -> None:
        super().__init__()
        self.table = nn.Embedding(max(category_sizes), num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.table(x.long()).mean(dim=1)
        return out


def test_columns_that_a_model_looks_up_are_no_numbers_to_normalise() -> None:
    draw = np.random.default_rng(0)
    columns = {name: [f"{name}{n:02}" for n in draw.integers(60, size=400)] for name in ("user", "film")}
    pd.DataFrame({**columns, "stars": draw.normal(size=400)}).to_csv("ratings.csv", index=False)
    data = ("data=csv", "data.path=ratings.csv", "data.target=stars", "data.task=regression")
    assert list(input_mistakes(subject(*data, model=Looked))) == []
