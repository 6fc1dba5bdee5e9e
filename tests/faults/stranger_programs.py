"""Programs of a project with options of its own: `./conf/model`, `./conf/loss`, settings and `trusted_modules`.

The modules are in `strangers.py`. Each program has the first mistakes that may be named; none where it is healthy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DATA = {
    "trees": ["data=csv", "data.path=trees.csv", "data.target=kind"],
    "prices": ["data=csv", "data.path=prices.csv", "data.target=price"],
    "churn": ["data=csv", "data.path=churn.csv", "data.target=churn"],
    "tags": ["data=csv", "data.path=tags.csv", "data.target=[t1,t2,t3,t4]"],
    "shapes": ["data=arrays", "data.path=shapes.npz"],
    "waves": ["data=arrays", "data.path=waves.npz", "data.layout=array"],
    "tokens": ["data=arrays", "data.path=tokens.npz", "transform=none"],
}

# of the options of a project, by group
CONTENTS = dict.fromkeys(("model", "loss", "schedule"), "_target_: strangers.{name}\n_partial_: true\n")
CONTENTS["optimizer"] = CONTENTS["model"] + "lr: ${{lr}}\n"
CONTENTS["augment"] = "own:\n  _target_: strangers.{name}\n"


@dataclass(frozen=True)
class Program:
    """Data, settings, and the mistakes that may be named first.

    Attributes:
        data: A key of `DATA`.
        overrides: The options and settings.
        expected: Names of mistakes, or of a check; empty where nothing is wrong.
    """

    data: str
    overrides: tuple[str, ...]
    expected: tuple[str, ...] = ()


def of_model(name: str, data: str, *expected: str) -> tuple[str, Program]:
    return name, Program(data, (f"model={name}",), expected)


def of_loss(name: str, data: str, *expected: str) -> tuple[str, Program]:
    model = "cnn" if data == "shapes" else "mlp"
    return name, Program(data, (f"model={model}", f"loss={name}"), expected)


def of_optimizer(name: str, *expected: str) -> tuple[str, Program]:
    return name, Program("trees", (f"optimizer={name}",), expected)


PROGRAMS = dict(
    (
        of_model("ShapeNet", "shapes", "probabilities_as_logits"),
        of_model("TinyInit", "trees", "activations_vanish"),
        of_model("DeepSigmoid", "prices", "gradients_vanish"),
        of_model("DeadNet", "churn", "dead_units"),
        of_model("Quantised", "trees", "steps_without_slope"),
        of_model("Stateful", "waves", "state_kept"),
        of_model("Cached", "trees", "outputs_of_an_earlier_batch"),
        of_model("Opinion", "shapes", "chance_loss"),
        of_model("UnitLogits", "trees", "outputs_normalised"),
        of_model("IntInput", "trees", "inputs_rounded"),
        of_model("Scaled", "shapes", "inputs_not_normalised"),
        of_model("DropLogits", "trees", "outputs_dropped"),
        of_model("HalfBatch", "trees", "rows_see_each_other"),
        of_model("Shuffler", "churn", "rows_shuffled"),
        of_model("Hooked", "trees", "gradient"),
        of_model("OneSoftmax", "churn", "softmax_of_one_output"),
        of_model("Resetting", "prices", "weights_change_in_forward"),
        of_model("Renewed", "trees", "weights_change_in_forward"),
        of_model("Swapped", "waves", "gradient"),
        of_model("FirstStep", "waves", "inputs_ignored_in_part"),
        of_model("Dollars", "prices", "outputs_in_other_units"),
        of_model("TwoHeads", "trees", "used_in_eval_mode_alone"),
        of_model("ByMax", "trees", "rows_see_each_other"),
        of_loss("ce_dim0", "trees", "softmax_over_batch"),
        of_loss("residual", "prices", "loss_unbounded"),
        of_loss("bias_only", "prices", "targets_broadcast"),
        of_loss("ce_multilabel", "tags", "labels_as_classes"),
        of_loss("lazy_rows", "trees", "rows_ignored"),
        of_loss("bounded", "trees", "slope_missing"),
        of_loss("mismatched", "churn", "targets_shuffled"),
        of_loss("mse_index", "shapes", "outputs_ignored"),
        of_loss("kl_probs", "trees", "log_missing"),
        of_loss("half_bce", "churn", "classes_ignored"),
        of_loss("scrambled", "trees", "wrong_minimum"),
        of_loss("first_true", "tags", "labels_as_classes"),
        of_loss("turned", "trees", "targets_shuffled"),
        of_loss("best_row", "waves", "rows_ignored"),
        ("ascent", Program("trees", ("optimizer=sgd", "optimizer.maximize=true"), ("steps_uphill",))),
        ("decay", Program("trees", ("lr=1e-2", "optimizer.weight_decay=90"), ("decay_too_strong",))),
        of_model("Clamped", "trees", "outputs_bounded"),
        of_model("BrainFloat", "trees", "half_precision"),
        of_model("Thousandth", "trees", "steps_too_short"),
        of_model("FrozenBody", "churn", "only_biases_trained"),
        of_model("OneForAll", "tags", "outputs_equal"),
        of_model("RoundedOut", "prices", "outputs_rounded"),
        of_loss("mse_of_numbers", "trees", "wrong_minimum"),
        of_loss("positives_only", "tags", "classes_ignored"),
        of_loss("tiny_huber", "prices", "loss_tiny"),
        of_loss("smooth90", "shapes", "loss_hardly_moves"),
        ("explodes", Program("trees", ("optimizer=sgd", "lr=100"), ("rate_too_large",))),
        ("crawls", Program("prices", ("lr=1e-8",), ("steps_too_short",))),
        ("clipped", Program("trees", ("optimizer=sgd", "trainer.gradient_clip_val=1e-8"), ("clipped_away",))),
        ("decay_of_one", Program("trees", ("optimizer=adam", "optimizer.weight_decay=1"), ("decay_too_strong",))),
        of_model("SecondName", "trees", "layer_shared"),
        of_model("Reshaped", "waves", "reshaped_not_transposed"),
        of_model("LookedUp", "trees", "inputs_rounded"),
        of_model("MaskOfZeros", "waves", "masked_by_zero"),
        of_model("ThrownAway", "trees", "result_unused"),
        of_model("AverageOfColumns", "trees", "inputs_ignored_in_part"),
        of_loss("swapped_divergence", "trees", "arguments_swapped"),
        of_loss("stopped_normaliser", "trees", "slope_stopped"),
        of_model("PadPool", "tokens", "mask_inverted"),
        of_model("PadAttention", "tokens", "mask_inverted"),
        of_model("Futures", "waves", "mask_inverted"),
        of_model("FrozenHead", "trees", "head_frozen"),
        of_model("FewWords", "tokens", "inputs_rounded"),
        of_loss("reversed_divergence", "trees", "divergence_reversed"),
        of_loss("normalised_over_rows", "trees", "softmax_over_batch"),
        of_loss("focal_of_right", "trees", "wrong_minimum"),
        of_loss("fiftieth", "churn", "class_weights_too_large"),
        of_loss("percentage", "prices", "rows_weighed_by_targets"),
        ("heavy_eps", Program("trees", ("optimizer=adam", "optimizer.eps=1e4"), ("steps_too_short",))),
        ("inert", Program("trees", ("optimizer=momentum", "optimizer.momentum=0.9999"), ("momentum_too_large",))),
        ("slow_average", Program("trees", ("averaging=ema", "averaging.decay=0.99995"), ("average_stays",))),
        ("by_row", Program("prices", ("transform.scope=sample",), ("columns_scaled_by_row",))),
        of_loss("log_of_standardised", "prices", "errors_ignored"),
        ("compounding", Program("trees", ("schedule=compounding",), ("rate_grows",))),
        ("Permuting", Program("shapes", ("model=cnn", "augment=Permuting"), ("augmentation_mixes_rows",))),
        ("whole_warmup", Program("trees", ("schedule=whole_warmup",), ("rate_of_zero",))),
        of_model("SlowNorm", "shapes", "average_stays"),
        of_optimizer("HeavyBall", "minimum_missed"),
        of_optimizer("Shrinking", "minimum_missed"),
        of_optimizer("OwnSteps"),
        of_optimizer("SharpnessAware"),
        of_optimizer("Lookahead"),
        of_model("OwnNorm", "trees", "statistics_never_move"),
        of_model("ZeroPairs", "prices", "stays_at_zero"),
        of_model("CancelledPairs", "prices", "weights_without_effect"),
        of_model("BatchAsSteps", "tokens", "rows_see_each_other"),
        of_model("ZeroEverywhere", "shapes"),
        of_model("WeightNormed", "prices"),
        of_model("PooledTokens", "tokens"),
        of_model("TokenAttention", "tokens"),
        of_model("Pasts", "waves"),
        of_model("RandomFeatures", "trees"),
        of_model("Casting", "trees"),
        of_model("Bayesian", "trees"),
        of_model("Codebook", "trees"),
        of_model("Prototypes", "trees"),
        of_model("OneUnit", "trees"),
        of_loss("one_against_all", "trees"),
        of_loss("trimmed", "trees"),
        of_model("CosineHead", "trees"),
        of_model("SlowBody", "trees"),
        of_model("Ordinal", "trees"),
        of_model("Tempered", "trees"),
        of_model("Spectral", "churn"),
        of_model("Binarised", "trees"),
        of_model("SoftRound", "trees"),
        of_model("BiLstm", "waves"),
        of_model("Encoder", "waves"),
        of_model("Experts", "trees"),
        of_model("MaskedExperts", "trees"),
        of_model("LayerScaled", "shapes"),
        of_model("zero_head", "trees"),
        of_model("SoftTree", "trees"),
        of_model("Checkpointed", "shapes"),
        of_model("ClipHook", "trees"),
        of_model("TiedSteps", "waves"),
        of_model("Perceiver", "waves"),
        of_model("Factorisation", "prices"),
        of_model("ReZero", "shapes"),
        of_model("Lora", "trees"),
        of_model("Hyper", "prices"),
        of_model("Gumbel", "trees"),
        of_loss("brier", "trees"),
        of_loss("asymmetric", "tags"),
        of_loss("generalised_ce", "trees"),
        of_loss("hard_half", "trees"),
        of_loss("adjusted", "shapes"),
        of_loss("dice", "tags"),
        of_loss("noisy_logits", "trees"),
    )
)


def write_project(folder: Path) -> None:
    """Write the data, and an option for each model, loss, schedule and augmentation of `strangers.py`."""
    write_rows(folder)
    for program in PROGRAMS.values():
        group, _, name = program.overrides[-1].partition("=")
        if group in CONTENTS:
            option = folder / "conf" / group / f"{name}.yaml"
            option.parent.mkdir(parents=True, exist_ok=True)
            option.write_text(CONTENTS[group].format(name=name))


def write_rows(folder: Path) -> None:
    """Write a table with several targets, images and sequences."""
    draw = np.random.default_rng(11)
    x = draw.normal(size=(600, 7))
    x[:, 1] = 40 * x[:, 1] + 300
    x[:, 2] = np.exp(x[:, 2])
    table = pd.DataFrame(x, columns=list("abcdefg"))
    noise = draw.normal(size=(600, 4))
    scores = np.stack([x[:, 0] + x[:, 3], (x[:, 1] - 300) / 40 - x[:, 4], x[:, 3] * x[:, 0]], axis=1)
    kinds = np.array(["oak", "elm", "ash"])[(scores + 0.3 * noise[:, :3]).argmax(axis=1)]
    table.assign(kind=kinds).to_csv(folder / "trees.csv", index=False)
    prices = 50_000 + 9_000 * x[:, 0] + 120 * (x[:, 1] - 300) + 1_500 * noise[:, 0]
    table.assign(price=prices).to_csv(folder / "prices.csv", index=False)
    leaves = 1.5 * x[:, 0] - x[:, 3] + noise[:, 1] > 0.5
    table.assign(churn=np.where(leaves, "yes", "no")).to_csv(folder / "churn.csv", index=False)
    tags = (x[:, [0, 3, 4, 5]] + 0.5 * noise > 0.2).astype(int)
    table.assign(**{f"t{place + 1}": tags[:, place] for place in range(4)}).to_csv(folder / "tags.csv", index=False)
    images = draw.integers(0, 60, size=(400, 16, 16, 3))
    classes = draw.integers(0, 4, 400)
    images[np.arange(400), 3 * classes + 2, :, classes % 3] += 150
    np.savez(folder / "shapes.npz", x=images.astype(np.uint8), y=classes)
    times, speeds = np.linspace(0, 6, 24), draw.integers(1, 4, 400)
    angles = speeds[:, None] * times + draw.uniform(0, 3, size=(400, 1))
    waves = np.stack([np.sin(angles), np.cos(angles), draw.normal(size=angles.shape)], axis=2)
    np.savez(folder / "waves.npz", x=waves.astype(np.float32), y=speeds)
    ids = draw.integers(1, 30, size=(400, 12))
    ids[np.arange(12) >= draw.integers(6, 12, size=(400, 1))] = 0
    np.savez(folder / "tokens.npz", x=ids, y=((ids > 15).sum(axis=1) > (ids > 0).sum(axis=1) / 2).astype(int))
