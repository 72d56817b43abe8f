"""Templates in annotations: `{{ model }}: {{ metric }} is {{ value | round(3) }}`.

Jinja in a sandbox, and of it only what cannot run away: names, constants, comparisons, if, and the filters of FILTERS. There are
no loops, no calls, no arithmetic and no string formatting, so the cost is bounded by the text's length.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.sandbox import SandboxedEnvironment

from guardian.files.document import choice_hint

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUT_MAX: Final = 4_096  # Characters of a rendered annotation; receivers cut longer ones anyway.
TEMPLATE_MAX: Final = 4_096  # Characters of a template.
NAMES: Final = (
    "model",
    "version",
    "policy",
    "rule",
    "severity",
    "metric",
    "value",
    "threshold",
    "low",
    "high",
    "n",
    "by",
    "column",
    "output",
    "window_start",
    "window_end",
    "labels",
)
"""What a template may name. `labels` are the rule's; of the rest those that an alert lacks are empty text."""
FILTERS: Final = ("abs", "capitalize", "default", "float", "int", "lower", "round", "title", "trim", "upper")

NODES_MAX: Final = 200  # Of one template's syntax tree: deeper ones would exhaust Python's own compiler.
DIGITS_MAX: Final = 12  # Places that round takes; more would be computed for nothing.

_ALLOWED: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Filter,
    nodes.Getattr,
    nodes.Getitem,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
)
_UNRENDERABLE: Final = (TemplateError, TypeError, ValueError, ArithmeticError)
_SAMPLE: Final[Mapping[str, Any]] = {
    **dict.fromkeys(NAMES, "text"),
    **dict.fromkeys(("value", "threshold", "low", "high"), 0.5),
    "n": 500,
}
Problem = tuple[str, str]
"""What is wrong, and the way out."""


class _Labels:
    """A rule's labels as templates see them: items alone, for a method would print as an address of memory."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> str:
        return self._items[name]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in sorted(self._items.items()))


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, cache_size=0)
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.globals = {}
    return environment


_ENVIRONMENT: Final = _environment()


@lru_cache(maxsize=1_024)  # One an annotation in use; a policy set has at most a few hundred.
def _parsed(text: str) -> Template | Problem:
    """Return the template, or what is wrong with its text whatever the values are."""
    if len(text) > TEMPLATE_MAX:
        return f"longer than {TEMPLATE_MAX} characters", "put the text behind a link"
    try:
        found = _forbidden(_ENVIRONMENT.parse(text))
    except TemplateSyntaxError as error:
        return f"no template: {error.message}", "names stand in {{ }}, without a $ before them"
    except RecursionError:
        return "no template: nested too deep", "write it more simply"
    return found or _ENVIRONMENT.from_string(text)


def render(text: str, values: Mapping[str, Any]) -> str:
    """Return `text` with `values` (some of NAMES) filled in, at most OUTPUT_MAX characters.

    Missing and None values are empty text. What cannot be rendered with these values (a filter on a value that an alert
    lacks) is returned as it is written: an alert must not fail on its annotation.

    >>> values = {"model": "m", "value": 0.123, "labels": {"team": "risk"}}
    >>> render("{{ model }}: {{ value | round(2) }} ({{ labels.team }}) {{ by }}", values)
    'm: 0.12 (risk) '
    """
    template = _parsed(text)
    if isinstance(template, tuple):
        return text[:OUTPUT_MAX]
    filled = {name: "" if values.get(name) is None else values[name] for name in NAMES}
    try:
        return template.render({**filled, "labels": _Labels(values.get("labels") or {})})[:OUTPUT_MAX]
    except _UNRENDERABLE:
        return text[:OUTPUT_MAX]


def template_problem(text: str, labels: Mapping[str, str]) -> Problem | None:
    """Return what is wrong with a template of a rule with `labels`, and the way out; None where it is fine.

    >>> template_problem("{{ modle }}", {})[0], template_problem("{{ labels.team }}", {"team": "risk"})
    ('modle is not known here', None)
    """
    template = _parsed(text)
    if isinstance(template, tuple):
        return template
    try:
        template.render({**_SAMPLE, "labels": _Labels(labels)})
    except UndefinedError:
        return "it names a label that the rule does not have", choice_hint("", labels, "add it to labels")
    except _UNRENDERABLE as error:
        return f"cannot be rendered: {error}", "only numbers are rounded and compared with numbers"
    return None


def _forbidden(tree: nodes.Template) -> Problem | None:
    found = list(tree.find_all(nodes.Node))
    if len(found) > NODES_MAX:
        return "too complicated", "write it more simply"
    return next((problem for node in found if (problem := _problem_of(node)) is not None), None)


def _problem_of(node: nodes.Node) -> Problem | None:
    match node:
        case nodes.Filter() if node.name not in FILTERS:
            return f"the filter {node.name} is not allowed", choice_hint(node.name, FILTERS)
        case nodes.Filter() if not _bounded(node):
            return f"{node.name} takes other arguments", f"such as round(3), with at most {DIGITS_MAX} places"
        case nodes.Name() if node.name not in NAMES:
            return f"{node.name} is not known here", choice_hint(node.name, NAMES)
        case nodes.Getattr() | nodes.Getitem() if not (isinstance(node.node, nodes.Name) and node.node.name == "labels"):
            return "only labels has parts", "write labels.NAME"
        case _ if not isinstance(node, _ALLOWED):
            what = f"{type(node).__name__.lower()} is not allowed in a template"
            return what, "names, if, comparisons and some filters are; write the rest as text"
    return None


def _bounded(node: nodes.Filter) -> bool:
    """Whether a filter's arguments are written out, and few; round's other methods take any power of ten."""
    arguments = [each.value for each in node.args if isinstance(each, nodes.Const)]
    plain = len(arguments) == len(node.args) and not node.kwargs and node.dyn_args is None and node.dyn_kwargs is None
    if node.name != "round":
        return plain and len(arguments) <= 1
    return plain and arguments in [[], *([places] for places in range(DIGITS_MAX + 1))]
