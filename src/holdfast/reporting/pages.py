"""Pages from the templates of this package: every value is escaped, drawings and styles are those of all pages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from holdfast import __version__
from holdfast.core.figures import digits, moment, number, plain, spoken
from holdfast.core.metrics import METRICS, is_share, with_rare_classes
from holdfast.reporting import charts

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, facts: Mapping[str, Any]) -> str:
    """One self-contained HTML page: no script, no file beside it.

    The template lies in `reporting/templates`; the fact "written" is when, ISO 8601.
    """
    return _environment().get_template(template).render(facts)


def compile_templates() -> None:
    """Compile all templates, which takes longer than a page."""
    environment = _environment()
    for name in environment.list_templates():
        environment.get_template(name)


def metric_value(metric: str, value: float | None, *, signed: bool = False) -> str:
    """A metric as it is written: shares in per cent."""
    if value is None:
        return "–" if signed else "undefined"
    if is_share(metric):
        return f"{100 * value:{'+' if signed else ''}.2f} %"
    return digits(value, sign="+" if signed else "")


@functools.cache
def _environment() -> Environment:
    """The filters and functions of templates; jinja2 is imported when the first page is made."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def drawn(draw: Callable[..., str]) -> Callable[..., Markup]:
        return lambda *values, **options: Markup(draw(*values, **options))

    environment = Environment(
        loader=PackageLoader("holdfast.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(moment=moment, number=number, digits=digits, plain=plain, spoken=spoken)
    environment.globals.update(
        holdfast=__version__,
        SHARES=[name for name, metric in METRICS.items() if metric.is_share],
        with_rare_classes=with_rare_classes,
        zip=zip,
        metric_value=metric_value,
        intervals=drawn(charts.intervals),
        confusion=drawn(charts.confusion),
        class_bars=drawn(charts.class_bars),
        histogram=drawn(charts.histogram),
        scatter=drawn(charts.scatter),
    )
    return environment
