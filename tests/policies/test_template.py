"""Templates: what they can say, what they cannot do, and that rendering never fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.policies.template import NAMES, OUTPUT_MAX, TEMPLATE_MAX, render, template_problem

VALUES = {"model": "m", "value": 0.12345, "n": 900, "column": "income", "output": None, "labels": {"team": "risk", "a b": "c"}}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("{{ model }}/{{ column or output }}", "m/income"),
        ("{{ value | round(2) }}", "0.12"),
        ("{{ labels.team | upper }} {{ labels['a b'] }}", "RISK c"),
        ("{{ labels }}", "a b=c, team=risk"),
        ("{{ by }}|{{ output }}|{{ version | default('x') }}", "||"),
        ("{% if value > 0.1 %}much{% elif n %}little{% else %}none{% endif %}", "much"),
        ("{{ n if value < 0 else -n }}", "-900"),
        ("<b>{{ model }}</b>", "<b>m</b>"),
    ],
)
def test_a_template_says_its_values(text, rendered):
    assert template_problem(text, VALUES["labels"]) is None
    assert render(text, VALUES) == rendered


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ modle }}", "modle is not known here"),
        ("{{ self }}", "self is not known here"),
        ("{{ labels.tier }}", "it names a label that the rule does not have"),
        ("{{ labels.items }}", "it names a label that the rule does not have"),
        ("{{ labels.__class__ }}", "cannot be rendered"),
        ("{{ model.upper }}", "only labels has parts"),
        ("{{ value.__class__.__mro__ }}", "only labels has parts"),
        ("{{ model[0] }}", "only labels has parts"),
        ("{{ range(9) }}", "call is not allowed"),
        ("{{ model.format(1) }}", "call is not allowed"),
        ("{{ 'a' * 1000000000 }}", "mul is not allowed"),
        ("{{ 9 ** 9 ** 9 }}", "pow is not allowed"),
        ("{{ '%999999999d' % n }}", "mod is not allowed"),
        ("{{ model ~ model }}", "concat is not allowed"),
        ("{{ [1, 2] }}", "list is not allowed"),
        ("{% for i in labels %}x{% endfor %}", "for is not allowed"),
        ("{% set x = 1 %}", "assign is not allowed"),
        ("{% include 'x' %}", "include is not allowed"),
        ("{% macro m() %}{% endmacro %}", "macro is not allowed"),
        ("{{ model | center(1000000000) }}", "the filter center is not allowed"),
        ("{{ value | round(5000000, 'ceil') }}", "round takes other arguments"),
        ("{{ value | round(n) }}", "round takes other arguments"),
        ("{{ value | round(precision=3) }}", "round takes other arguments"),
        ("{{ model | round }}", "cannot be rendered"),
        ("{{ $labels.team }}", "no template"),
        ("{{ model", "no template"),
        ("{{ " + "(" * 2000 + "n" + ")" * 2000 + " }}", "no template"),
        ("{{ " + "not " * 900 + "n }}", "too complicated"),
        ("x" * (TEMPLATE_MAX + 1), f"longer than {TEMPLATE_MAX} characters"),
    ],
)
def test_what_a_template_cannot_do_is_refused_and_never_run(text, problem):
    found = template_problem(text, {"team": "risk"})
    assert found is not None
    assert problem in found[0]
    assert found[1]
    if "labels" not in text:
        assert render(text, {"model": "m"}) == text[:OUTPUT_MAX]


def test_a_value_that_an_alert_lacks_leaves_the_template_as_it_is():
    text = "{{ value | round(2) }}"
    assert template_problem(text, {}) is None
    assert render(text, {"value": None}) == text


def test_the_output_is_bounded():
    assert len(render("{{ labels.long }}", {"labels": {"long": "x" * 100_000}})) == OUTPUT_MAX


def test_the_same_values_give_the_same_text():
    text = "".join(f"{{{{ {name} }}}}" for name in NAMES)
    assert render(text, VALUES) == render(text, dict(reversed(VALUES.items())))
    assert "0x" not in render(text, VALUES)


@given(st.text("{}%|.[]()'\"-+*~ nabelsvu0123_", max_size=40))
def test_any_text_is_rendered_or_has_a_problem(text):
    problem = template_problem(text, {})
    out = render(text, {})
    assert len(out) <= OUTPUT_MAX
    if problem is not None and "labels" not in text:
        assert out == text
