"""The report as one self-contained HTML page: no script, no file beside it, readable in light and dark and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from holdfast.reporting import plots
from holdfast.reporting.pieces import definitions, figure, metric_value, moment, plain, section, spoken, table
from holdfast.reporting.style import STYLE
from holdfast.training.names import SHARES

COUNTS = {
    "development": "train and val rows",
    "test": "test rows",
    "exact_duplicates": "train and val rows equal to a test row, before they were left out",
    "left_out": "left out, as equal to a test row or of its group",
    "groups": "groups with rows on both sides",
    "time_overlap": "train and val rows not older than the oldest test row",
    "near_duplicates": "test images with a look-alike in train or val",
    "seen_open": "test rows that could be trained on before, with vault=none",
}
Facts = Mapping[str, Any]


def page(facts: Facts) -> str:
    """The whole page."""
    title = f"{facts['name']}: final evaluation"
    sections = [
        _head(facts),
        _numbers(facts),
        _comparisons(facts),
        _details(facts),
        _choice(facts),
        _vault(facts),
        _openings(facts),
        _environment(facts),
        _limits(facts),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    head += f"<style>{STYLE}</style>"
    foot = f"holdfast {escape(facts['holdfast'])}, written {moment(facts['written'])}. report.json has the same facts."
    body = f"<main>{''.join(sections)}<footer>{foot}</footer></main>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _head(facts: Facts) -> str:
    result = facts["result"]
    if result is None:
        chip, line = '<span class="chip wait">frozen, not opened</span>', "The test rows are still sealed."
    else:
        kind, word = ("good", "clean test") if result["is_clean"] else ("bad", "not a clean test")
        chip = f'<span class="chip {kind}">opening {result["opening"]}: {word}</span>'
        line = f"{result['n']:,} test rows, opened {moment(result['time'])}"
    quote = f'<p class="quote">{escape(facts["quote"])}</p>' if facts["quote"] else ""
    title = f"<p class='eyebrow'>final evaluation</p><h1>{escape(facts['name'])}</h1>"
    return f"<header>{title}<p>{chip} {line}</p>{quote}</header>"


def _numbers(facts: Facts) -> str:
    result = facts["result"]
    if result is None:
        return ""
    if result["level"] == "criterion":
        word, kind = ("kept", "good") if result["passed"] else ("not kept", "bad")
        told = f"{escape(str(facts['criterion']))}: one bit, nothing else was told."
        return section("Criterion", f'<p><span class="chip {kind}">{word}</span> {told}</p>')
    models = [model for model in facts["models"] if model["test"]]
    confidence = f"{100 * result['confidence']:.4g} %"
    shown = "".join(
        (f"<h3>{escape(model['name'])}</h3>" if len(models) > 1 else "")
        + _metrics(model, confidence, facts["definitions"])
        for model in models
    )
    note = "Each interval holds by itself; val scores chose the model and flatter it."
    if not result["is_clean"]:
        told = f"the vault had told {facts['wear']['bits_before']:.1f} bits before"
        note = f"Not a clean test ({escape(str(result['reason']))}): {told}, and the interval does not know of it. "
        note += f"With probability 0.95 a mean in [0, 1] is within {facts['wear']['half_width']:.4f} (adaptive bound)."
    criterion = ""
    if facts["criterion"] and result["passed"] is not None:
        criterion = (
            f"<p>Criterion {escape(facts['criterion'])}: <b>{'kept' if result['passed'] else 'not kept'}</b>.</p>"
        )
    return section("Test metrics", f"{shown}<p class='note'>{note}</p>{criterion}")


def _metrics(model: Facts, confidence: str, meanings: Mapping[str, str]) -> str:
    """One model's test metrics, drawn and listed."""
    shares = [(name, entry) for name, entry in model["test"].items() if name in SHARES]
    plot = plots.intervals(shares, is_share=True, label="test metrics with their intervals, in per cent")
    rows = [
        [
            f'<abbr title="{escape(meanings[name])}">{escape(name)}</abbr>',
            metric_value(name, entry["value"]),
            ""
            if entry["low"] is None
            else f"{metric_value(name, entry['low'])} to {metric_value(name, entry['high'])}",
            escape(entry["method"]),
            metric_value(name, model["val"].get(name)),
        ]
        for name, entry in model["test"].items()
    ]
    names = ["metric", "test", f"{confidence} interval", "method", "val"]
    return figure(plot) + table(names, rows, numeric=(1, 2, 4))


def _comparisons(facts: Facts) -> str:
    models = [model for model in facts["models"] if model["test"]]
    if len(models) < 2:
        return ""
    name = next(one for one in (*SHARES, "rmse") if one in models[0]["test"])
    rows = [(model["name"], model["test"][name]) for model in models]
    plot = plots.intervals(rows, is_share=name in SHARES, label=f"{name} of every model")
    body = []
    for one in facts["comparisons"]:
        metric = one["metric"]
        low, high = (metric_value(metric, one[key], signed=True) for key in ("low", "high"))
        difference = metric_value(metric, one["difference"], signed=True)
        chance = [f"{one['p']:.3g}", f"{one['p_holm']:.3g}"]
        body.append(
            [escape(metric), escape(one["models"][1]), difference, f"{low} to {high}", *chance, escape(one["method"])]
        )
    interval = f"{100 * facts['result']['confidence']:.4g} % interval"
    names = ["metric", "against", "difference", interval, "p", "p (Holm)", "method"]
    words = f"{escape(models[0]['name'])} against the other models on the same rows, first minus other."
    return section("Comparison", f"{figure(plot)}<p>{words}</p>{table(names, body, numeric=(2, 3, 4, 5))}")


def _details(facts: Facts) -> str:
    parts = []
    for one in facts["details"]:
        names = facts["class_names"] or [str(index) for index in range(len(one["per_class"]))]
        rows = [
            [escape(str(names[index] if index < len(names) else index)), f"{part['rows']:,}"]
            + [plots.number(part[key], True) for key in ("precision", "recall", "f1")]
            for index, part in enumerate(one["per_class"])
        ]
        matrix = ""
        if one["confusion"]:
            words = "True class by row, guessed class by column; shaded by the share of the row, errors four times."
            matrix = f"{plots.confusion(one['confusion'], names)}<figcaption class='note'>{words}</figcaption>"
        listed = table(["class", "rows", "precision %", "recall %", "F1 %"], rows, numeric=(1, 2, 3, 4))
        title = f"<h3>{escape(one['name'])}</h3>" if len(facts["details"]) > 1 else ""
        parts.append(f"{title}{figure(matrix)}{listed}")
    return section("Classes (disclosed)", "".join(parts)) if parts else ""


def _choice(facts: Facts) -> str:
    model = facts["models"][0]
    rule, trials = model["rule"], model["trials"]
    goal = "least" if rule["mode"] == "min" else "most"
    kind = "ensemble" if model["kind"] == "ensemble" else "one run"
    tried = "the run came from no sweep"
    if trials:
        tried = f"{trials['runs']} runs in sweep {trials['sweep']}, {trials['completed']} completed"
    facts_told = [
        ("rule", f"{goal} {rule['monitor']}: {plots.number(model['val'].get(rule['monitor'].removeprefix('val/')))}"),
        ("model", f"{model['name']} ({kind}; seed {', '.join(map(str, model['seeds']))})"),
        ("trials", tried),
    ]
    if trials:
        facts_told.append(("root of their records", trials["root"]))
    if facts["criterion"]:
        facts_told.append(("criterion", facts["criterion"]))
    return section("How it was chosen", definitions(facts_told) + _spread(facts))


def _spread(facts: Facts) -> str:
    """Seed spread and sampling interval are different things: both, side by side."""
    spread, test = facts["spread"], facts["models"][0]["test"]
    if spread is None:
        return "<p class='note'>Seed spread: not known, as no other run differs from this one in the seed alone.</p>"
    is_share = spread["metric"] in SHARES
    entry = test.get(spread["metric"])
    values = ", ".join(plots.number(value, is_share) for value in spread["values"])
    std, of = plots.number(spread["std"], is_share), f"{spread['of']}/{spread['metric']}"
    words = f"standard deviation of {of} over {len(spread['values'])} seeds ({values})"
    seed = f"<b>{std}</b><span>{words}</span>"
    half = (
        "not opened"
        if entry is None or entry["low"] is None
        else plots.number((entry["high"] - entry["low"]) / 2, is_share)
    )
    sample = f"<b>{half}</b><span>half-width of the test interval: another sample of test rows</span>"
    unit = " (per cent)" if is_share else ""
    return f"<h3>Seed and sample{unit}</h3><div class='pair'><div>{seed}</div><div>{sample}</div></div>"


def _vault(facts: Facts) -> str:
    vault = facts["vault"]
    policy = vault["policy"]["policy"] + (f" (K = {vault['policy']['k']})" if vault["policy"].get("k") else "")
    rows = f"{vault['num_test']:,} sealed, {vault['num_development']:,} for train and val"
    told = [
        ("vault", vault["id"]),
        ("rows", rows),
        ("test rule", plain(vault["test_rule"])),
        ("policy", policy),
        ("key", f"{vault['policy']['key_mode']}. {vault['key_mode']}"),
        ("source", vault["source"]["words"]),
        ("sealed", moment(vault["sealed"])),
        ("content", vault["content"]),
        *[("replaces", one) for one in vault["replaces"]],
        *[("same rows, another target", one) for one in vault["shares"]],
        *[("lineage", plain(one)) for one in vault["lineage"]],
    ]
    leaks = [[escape(COUNTS.get(name, spoken(name))), escape(plain(count))] for name, count in vault["counts"].items()]
    leaks.append(["ambiguous fingerprints", f"{vault['ambiguous']:,}"])
    return section(
        "The vault",
        definitions(told)
        + "<h3>Across the split, as counted when sealing</h3>"
        + table(["", "rows"], leaks, numeric=(1,)),
    )


def _openings(facts: Facts) -> str:
    worn = facts["wear"]
    rows = [
        [
            str(one["opening"]),
            f"<code>{escape(str(one['selection'])[:8])}</code>",
            moment(one["time"]),
            escape(one["level"]) + (f": {escape(one['reason'])}" if one["reason"] else ""),
            "" if one["bits"] is None else f"{one['bits']:.1f}",
        ]
        for one in facts["openings"]
    ]
    names = ["opening", "selection", "time", "level", "bits"]
    listed = table(names, rows, numeric=(4,)) if rows else "<p>No opening so far.</p>"
    n = facts["vault"]["num_test"]
    told = [
        (words, f"{worn[f'bits_{when}']:.1f} bits: {_left(worn, suffix, n)}")
        for words, when, suffix in (("told before this answer", "before", ""), ("told up to now", "after", "_next"))
    ]
    if worn["bits_of_choice"]:
        told.insert(1, ("of these, a choice", f"{worn['bits_of_choice']:.1f} bits: the best of {len(facts['models'])}"))
    told.append(("head", f"{facts['head']['sha256']} (entry {facts['head']['index']})"))
    words = "Worst case, at 95 %. Competitions with natural reuse showed little overfitting (Roelofs et al. 2019)."
    note = f"<p class='note'>{words}</p>"
    return section("Openings and wear", listed + definitions(told) + note)


def _left(worn: Mapping[str, Any], suffix: str, num_rows: int) -> str:
    half, left = worn[f"half_width{suffix}"], worn[f"rows_left{suffix}"]
    return f"a mean over {num_rows:,} rows is known within {half:.4f}, as by {left:,} fresh rows"


def _environment(facts: Facts) -> str:
    environment = facts["environment"]
    git = environment["git"]
    commit = (
        "no repository"
        if git is None
        else str(git["commit"]) + (" with uncommitted changes" if git["dirty_sha256"] else "")
    )
    told = [
        ("versions", ", ".join(f"{name} {version}" for name, version in environment["versions"].items())),
        ("framework", f"{environment['framework']['version']}, code {environment['framework']['code_sha256']}"),
        ("git", commit),
        *[(name, sha256) for name, sha256 in environment["modules"].items()],
        *[("changed since the freeze", change) for change in environment["changes"]],
        ("selection", facts["selection"]),
    ]
    return section("Environment", definitions(told))


def _limits(facts: Facts) -> str:
    items = "".join(f"<li>{escape(limit)}</li>" for limit in facts["limits"])
    check = "<p>Check it: <code>holdfast vault verify</code> needs no key.</p>"
    return section("What this report cannot say", f"<ul>{items}</ul>{check}")
