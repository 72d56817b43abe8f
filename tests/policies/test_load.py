"""Loading a set: what counts, what is told, and what a rule measures."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.canonical import canonical, digest_of
from guardian.catalog.model_file import ModelFile
from guardian.errors import InvalidFileError
from guardian.metrics.base import Subject
from guardian.policies.load import load_set, subjects_of
from guardian.policies.model import Condition, PolicyFile, Rule, parse_condition

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "policies"
MODELS = (HERE / "good" / "models.yaml").read_bytes()
POLICY = """
apiVersion: guardian/v1alpha1
kind: Policy
metadata: {{name: {name}}}
spec:
  match: {{models: [loans]}}
  rules:
    - {rule}
"""
GOOD = 'alert: A, metric: drift.psi, warn: "> 0.1"'


def policy(rule=GOOD, name="p"):
    return POLICY.format(name=name, rule="{" + rule + "}").encode()


def loaded(rule=GOOD, models=MODELS):
    return load_set({"m.yaml": models, "p.yaml": policy(rule)})


def told(files):
    with pytest.raises(InvalidFileError) as caught:
        load_set(files)
    return [(m.code, m.file) for m in caught.value.mistakes]


@pytest.fixture
def loans():
    return loaded().models["loans"]


def rule_of(text):
    return Rule.model_validate({"alert": "A", "error": "> 0.2", **text})


def test_a_set_holds_models_and_policies_of_any_file_with_their_digests():
    found = load_set({"b.yaml": MODELS + b"---" + policy(name="q"), "a.yaml": policy()})
    assert list(found.models) == ["loans", "prices", "species"]
    assert list(found.policies) == ["p", "q"]
    assert found.policy_digests["p"] == digest_of(found.policies["p"].to_json())
    assert found.model_digests["loans"] == digest_of(found.models["loans"].to_json())
    assert found.models_of(found.policies["p"]) == (found.models["loans"],)


def test_cases_are_not_policies():
    assert not load_set({"p.cases.yaml": b"\xff: [", "m.yaml": MODELS}).policies


def test_an_empty_set_is_valid():
    assert not load_set({}).models


def test_a_digest_is_of_the_meaning_not_of_the_text():
    other = b"# a comment\n" + policy('warn: "  >  0.10", alert: A,   metric: drift.psi').replace(
        b"  match", b"  mode: enforce\n  match"
    )
    assert load_set({"p": policy()}).policy_digests == load_set({"p": other}).policy_digests
    assert load_set({"p": policy()}).policy_digests != load_set({"p": policy(GOOD.replace("0.1", "0.11"))}).policy_digests


def test_the_mistakes_of_every_file_come_by_file_and_place():
    files = {
        "z.yaml": b"a: &x 1\nb: *x",
        "b.yaml": policy("alert: A"),
        "a.yaml": MODELS.replace(b"area", b"area: {}, b", 1).replace(b"regression", b"regresion"),
    }
    found = told(files)
    assert [file for _, file in found] == sorted(file for _, file in found)
    assert {file for _, file in found} == set(files)


def test_a_model_with_a_mistake_does_not_make_its_policies_wrong():
    broken = MODELS.replace(b"champion:", b"champoin:", 1)
    assert told({"m.yaml": broken, "p.yaml": policy("alert: A, metric: drift.psi, warn: '> 0.1', columns: [nothing]")}) == [
        ("file.unknown-key", "m.yaml")
    ]


def test_a_rule_with_a_mistake_hides_none_in_another():
    two = policy(GOOD + ", widow: 7d").decode() + "    - {alert: B, metric: drift.psj, warn: '> 0.1'}\n"
    assert [code for code, _ in told({"m.yaml": MODELS, "p.yaml": two.encode()})] == ["file.unknown-key", "policy.unknown-metric"]


def test_one_mistake_in_defaults_is_told_once_for_all_rules_and_models():
    text = policy().decode().replace("  rules:", "  defaults: {every: 90m}\n  rules:").replace("[loans]", "[loans, species]")
    text += "    - {alert: B, metric: drift.psi, warn: '> 0.1'}\n"
    with pytest.raises(InvalidFileError) as caught:
        load_set({"m.yaml": MODELS, "p.yaml": text.encode()})
    assert [m.what for m in caught.value.mistakes] == [
        f"1h30m is no whole number of panes of {name}" for name in ("loans", "species")
    ]


def test_a_policy_without_a_known_model_only_warns():
    found = load_set({"p.yaml": policy()})
    assert [(m.code, m.warning) for m in found.warnings] == [("policy.unknown-model", True)]
    assert found.models_of(found.policies["p"]) == ()


def test_columns_all_are_features_then_attributes_then_outputs(loans):
    everything = [
        *(Subject(column=c) for c in ("income", "salary_range", "SEX", "RACE")),
        Subject(output="prediction"),
        Subject(output="score"),
    ]
    assert list(subjects_of(rule_of({"metric": "drift.psi"}), loans)) == everything
    assert list(subjects_of(rule_of({"metric": "drift.psi", "columns": "all"}), loans)) == everything


def test_columns_can_be_listed_or_left_out(loans):
    listed = subjects_of(rule_of({"metric": "drift.psi", "columns": ("score", "income", "income")}), loans)
    assert listed == (Subject(output="score"), Subject(column="income"))
    rest = subjects_of(rule_of({"metric": "drift.psi", "columns": {"except": ("SEX", "RACE", "score", "prediction")}}), loans)
    assert rest == (Subject(column="income"), Subject(column="salary_range"))


def test_a_model_without_a_score_has_no_such_subject():
    prices = loaded().models["prices"]
    assert subjects_of(rule_of({"metric": "quality.missing_share"}), prices) == (
        Subject(column="area"),
        Subject(output="prediction"),
    )


def test_all_columns_are_those_that_the_metric_is_defined_for(loans):
    prices = loaded().models["prices"]
    ks, new = rule_of({"metric": "drift.ks"}), rule_of({"metric": "quality.new_category_share", "columns": "all"})
    assert subjects_of(ks, loans) == (Subject(column="income"), Subject(output="score"))
    assert subjects_of(ks, prices) == (Subject(column="area"), Subject(output="prediction"))
    assert subjects_of(new, loans) == (
        *(Subject(column=c) for c in ("salary_range", "SEX", "RACE")),
        Subject(output="prediction"),
    )
    assert subjects_of(new, prices) == ()
    but = rule_of({"metric": "quality.out_of_range_share", "columns": {"except": ("score",)}})
    assert subjects_of(but, loans) == (Subject(column="income"),)


def test_a_regression_has_no_score_whatever_its_columns_are_called():
    named = MODELS.replace(b"task: regression", b"task: regression\n  columns: {score: p}")
    assert told({"m.yaml": named, "p.yaml": policy(GOOD + ", columns: [score]").replace(b"[loans]", b"[prices]")}) == [
        ("policy.unknown-column", "p.yaml")
    ]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["> 1", "7d", "9" * 30 + "d", "all"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("except"), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(sorted(Rule.model_fields)), VALUES), st.sampled_from(["match", "defaults", "rules"]), VALUES
)
def test_any_value_at_any_key_is_a_mistake_and_no_crash(rule, key, value):
    spec = {"match": {"models": ["loans"]}, "defaults": {}, "rules": [{"alert": "A", "metric": "drift.psi", **rule}]}
    spec = {**spec, key: value} if value else spec
    text = json.dumps({"apiVersion": "guardian/v1alpha1", "kind": "Policy", "metadata": {"name": "p"}, "spec": spec})
    with suppress(InvalidFileError):
        load_set({"m.yaml": MODELS, "p.yaml": text.encode()})


def test_a_feature_named_like_an_output_is_the_feature(loans):
    features = {"score": loans.spec.features["income"]}
    model = loans.model_copy(update={"spec": loans.spec.model_copy(update={"features": features, "protected": ()})})
    assert subjects_of(rule_of({"metric": "drift.psi", "columns": ("score",)}), model) == (Subject(column="score"),)


def test_groups_are_one_subject_and_so_is_the_model(loans):
    by = {"metric": "fairness.demographic_parity_ratio", "error": "< 0.8", "by": ("SEX", "RACE")}
    assert subjects_of(rule_of(by), loans) == (Subject(by="SEX,RACE"),)
    assert subjects_of(rule_of(by | {"by": "SEX"}), loans) == (Subject(by="SEX"),)
    assert subjects_of(rule_of({"metric": "performance.accuracy"}), loans) == (Subject(),)


def test_classes_are_listed_or_all_those_known():
    species = loaded().models["species"]
    rule = {"metric": "performance.recall", "classes": "all"}
    assert subjects_of(rule_of(rule), species, ("cat", "dog")) == (Subject(of_class="cat"), Subject(of_class="dog"))
    assert subjects_of(rule_of(rule), species) == ()
    assert subjects_of(rule_of(rule | {"classes": ("dog",)}), species, ("cat", "dog")) == (Subject(of_class="dog"),)


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.glob("*.yaml") if not path.name.endswith(".cases.yaml")))
def test_a_shipped_file_is_valid_and_its_json_means_the_same(name):
    found = load_set({name: (SHIPPED / name).read_bytes()})
    for file, cls in (*((f, PolicyFile) for f in found.policies.values()), *((f, ModelFile) for f in found.models.values())):
        assert cls.model_validate_json(canonical(file.to_json())) == file


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([">", ">=", "<", "<="]))
def test_a_condition_loses_no_digit_when_it_is_written(threshold, operator):
    condition = Condition(operator, threshold)
    assert parse_condition(str(condition)) == condition
