"""Every shipped policy has cases; they pass, they reach every rung both ways, and they notice when a rule changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.errors import InvalidFileError
from guardian.files.strict_yaml import read
from guardian.pipeline.case_file import Cases, load_cases
from guardian.pipeline.cases import policy_of, run_cases
from guardian.policies.load import load_set
from guardian.policies.model import Condition, PolicyFile, Rule
from guardian.units import DAY_MS

FOLDER = Path(__file__).parents[2] / "policies"
SHIPPED = load_set({f.name: f.read_bytes() for f in sorted(FOLDER.glob("*.yaml")) if not f.name.endswith(".cases.yaml")})


def load(file: Path) -> Cases:
    reading = read(file.read_bytes(), file.name)
    found = () if reading.mistakes else load_cases(reading.documents[0])
    if isinstance(found, tuple):
        raise InvalidFileError(found or reading.mistakes)
    return found


CASES = {policy_of(found, SHIPPED)[0].name: found for found in map(load, sorted(FOLDER.glob("*.cases.yaml")))}


def passes(policy: PolicyFile, name: str) -> bool:
    return run_cases(CASES[name], policy, policy_of(CASES[name], SHIPPED)[1]).passed


def with_rule(policy: PolicyFile, index: int, **changes) -> PolicyFile:
    rules = list(policy.spec.rules)
    rules[index] = rules[index].model_copy(update=changes)
    return policy.model_copy(update={"spec": policy.spec.model_copy(update={"rules": tuple(rules)})})


def threshold_changes(rule: Rule) -> Iterator[tuple[str, dict]]:
    for severity, condition in rule.rungs:
        for factor in (0.95, 1.05):
            moved = Condition(condition.operator, condition.threshold * factor)
            yield f"{severity} {moved}", {severity: moved}
        turned = Condition("<" if condition.bad_above else ">", condition.threshold)
        yield f"{severity} {turned}", {severity: turned}


def count_changes(policy: PolicyFile, rule: Rule) -> Iterator[tuple[str, dict]]:
    for word, count in (("open_after", policy.open_after_of(rule)), ("close_after", policy.close_after_of(rule))):
        for by in (-1, 1):
            yield f"{word} {count + by}", {word: count + by}


def requirement_changes(rule: Rule) -> Iterator[tuple[str, dict]]:
    rows, coverage = rule.require.rows, rule.require.label_coverage
    changes = [{"rows": rows + by} for by in (-1, 1)] if rows else []
    changes += [{"label_coverage": coverage + by} for by in (-0.002, 0.001)] if coverage else []
    for change in changes:
        yield f"require {change}", {"require": rule.require.model_copy(update=change)}


def retrain_changes(rule: Rule) -> Iterator[tuple[str, dict]]:
    if rule.retrain is not None:
        yield "no retraining", {"retrain": None}
        cooldown = rule.retrain.cooldown
        for change in ({"on": "warn"}, {"approval": "auto"}, {"cooldown": cooldown - DAY_MS}, {"cooldown": cooldown + DAY_MS}):
            yield f"retrain {change}", {"retrain": rule.retrain.model_copy(update=change)}


def mutants() -> list:
    """Return each shipped policy with one thing of one rule changed a little."""
    return [
        pytest.param(name, i, change, id=f"{name} {rule.alert} {what}")
        for name, policy in SHIPPED.policies.items()
        for i, rule in enumerate(policy.spec.rules)
        for what, change in (
            *threshold_changes(rule), *count_changes(policy, rule), *requirement_changes(rule), *retrain_changes(rule)
        )
    ]  # fmt: skip


def test_every_policy_has_cases():
    assert set(CASES) == set(SHIPPED.policies)


@pytest.mark.parametrize("name", SHIPPED.policies)
def test_they_pass(name):
    result = run_cases(CASES[name], *policy_of(CASES[name], SHIPPED))
    assert [m for c in result.cases for m in c.mismatches] == []


@pytest.mark.parametrize("name", SHIPPED.policies)
def test_they_reach_every_rung_both_ways(name):
    result = run_cases(CASES[name], *policy_of(CASES[name], SHIPPED))
    assert [(c.rule, c.rung) for c in result.coverage if not (c.violated and c.satisfied)] == []


@pytest.mark.parametrize(("name", "index", "change"), mutants())
def test_they_notice_when_a_rule_changes(name, index, change):
    assert not passes(with_rule(SHIPPED.policies[name], index, **change), name)
