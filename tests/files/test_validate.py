"""A document against a format: every mistake, where it stands, with the way out."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from guardian.files.codes import FILE_CODES
from guardian.files.document import choice_hint, closest, path_text, shown
from guardian.files.schema import allowed_keys, description_of, schema_of
from guardian.files.strict_yaml import read
from guardian.files.validate import Conflict, refuse, validate
from guardian.policies.model import PolicyFile


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Leg(Strict):
    joints: int = Field(ge=1, le=4, description="Where it bends.")
    side: Literal["left", "right"] = Field(description="On which side it is.")


class Animal(Strict):
    name: str = Field(description="What it is called.", pattern="^[a-z]+$")
    legs: tuple[Leg, ...] = Field(default=(), description="Its legs.", max_length=4)
    food: Literal["all"] | tuple[str, ...] = Field(default="all", description="What it eats.")
    weights: dict[str, float] = Field(default_factory=dict, description="By day.")

    @model_validator(mode="after")
    def _sides(self):
        again = [i for i, leg in enumerate(self.legs) if leg in self.legs[:i]]
        refuse("Animal", [Conflict(("legs", i), "this leg is there twice", "remove one") for i in again])
        return self


def check(text, model=Animal, at=()):
    return validate(read(text.encode(), "a.yaml").documents[0], model, at)


def told(text):
    return [(m.code, m.line, m.column, m.path) for m in check(text)]


def test_a_valid_document_is_its_typed_value():
    found = check("name: cat\nlegs: [{joints: 2, side: left}]\nweights: {mon: 3}")
    assert found == Animal(name="cat", legs=(Leg(joints=2, side="left"),), weights={"mon": 3.0})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("legs: []", [("file.missing-key", 1, 1, "name")]),
        ("name: cat\nnmae: dog", [("file.unknown-key", 2, 1, "nmae")]),
        ("name: Cat", [("file.malformed", 1, 7, "name")]),
        ("name: 5", [("file.wrong-type", 1, 7, "name")]),
        ("name:\nlegs: []", [("file.wrong-type", 1, 1, "name")]),
        ("name: cat\nlegs: two", [("file.wrong-type", 2, 7, "legs")]),
        (
            "name: cat\nlegs:\n  - {joints: 9, side: lft}",
            [("file.out-of-range", 3, 14, "legs[0].joints"), ("file.not-allowed", 3, 23, "legs[0].side")],
        ),
        ("name: cat\nlegs:\n  - joints: 1", [("file.missing-key", 3, 5, "legs[0].side")]),
        ("name: cat\nlegs:\n  - joints: true\n    side: left", [("file.wrong-type", 3, 13, "legs[0].joints")]),
        ("name: cat\nlegs:\n  - joints: 1.5\n    side: left", [("file.wrong-type", 3, 13, "legs[0].joints")]),
        ("name: cat\nfood: al", [("file.not-allowed", 2, 7, "food")]),
        ("name: cat\nfood: [mice, 1]", [("file.wrong-type", 2, 14, "food[1]")]),
        ("name: cat\nfood: 7", [("file.wrong-type", 2, 7, "food")]),
        ("name: cat\nweights: {mon: heavy}", [("file.wrong-type", 2, 16, "weights.mon")]),
        ("name: cat\nweights: {mon: .inf}", [("file.out-of-range", 2, 16, "weights.mon")]),
        ("name: cat\nlegs:\n- {joints: 1, side: left}\n- {joints: 1, side: left}", [("file.inconsistent", 4, 3, "legs[1]")]),
        ("- name", [("file.wrong-type", 1, 1, "")]),
    ],
)
def test_a_mistake_stands_where_it_is(text, found):
    assert told(text) == found


def test_all_mistakes_come_at_once_in_the_files_order():
    assert [code for code, *_ in told("b: 1\nname: C\nlegs: [{joints: 0}, {side: up, joints: 1, x: 1}]")] == [
        "file.unknown-key",
        "file.malformed",
        "file.missing-key",
        "file.out-of-range",
        "file.not-allowed",
        "file.unknown-key",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "name: cat\nlgs: []",
            'a.yaml:2:1: error: file.unknown-key: unknown key "lgs" (hint: did you mean legs? allowed: legs, food, weights)',
        ),
        ("legs: []", 'a.yaml:1:1: error: file.missing-key: "name" is missing (hint: add name: What it is called.)'),
        ("name: 5", 'a.yaml:1:7: error: file.wrong-type: 5 is not text (hint: put it in quotes: "5")'),
        (
            "name: a\nlegs: [{joints: 1, side: rigth}]",
            'a.yaml:2:26: error: file.not-allowed: "rigth" is not allowed here (hint: did you mean right? allowed: left, right)',
        ),
        (
            "name: a\nlegs: [{joints: 7, side: left}]",
            "a.yaml:2:17: error: file.out-of-range: 7: must be at most 4 (hint: Where it bends.)",
        ),
        ("name: a\nfood: 7", "a.yaml:2:7: error: file.wrong-type: 7 is not allowed here (hint: allowed: all, a list)"),
    ],
)
def test_the_line_says_what_is_wrong_and_the_way_out(text, line):
    assert [str(mistake) for mistake in check(text)] == [line]


def test_a_part_is_checked_with_its_own_places():
    document = read(b"pets:\n  - name: cat\n  - {name: cat, age: 3}\n", "a.yaml").documents[0]
    assert validate(document, Animal, ("pets", 0)) == Animal(name="cat")
    (mistake,) = validate(document, Animal, ("pets", 1))
    assert (mistake.line, mistake.column, mistake.path) == (3, 17, "pets[1].age")
    assert mistake.hint == "allowed: legs, food, weights"


def test_a_list_of_broken_items_is_not_called_short():
    text = "apiVersion: guardian/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec: {match: {models: [m]}, rules: [{alert: A}]}"
    assert [m.path for m in check(text, PolicyFile)] == ["spec.rules[0].metric"]


def test_control_characters_of_a_file_never_reach_the_terminal():
    document = read(b'name: "a\\u202eb"', "a.yaml").documents[0]
    (mistake,) = validate(document, Animal)
    assert "\u202e" not in str(mistake)
    assert "\\u202e" in str(mistake)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda s: (
            st.lists(s, max_size=3)
            | st.dictionaries(st.sampled_from(["spec", "rules", "match", "alert", "columns", "except", "x"]), s, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_any_value_is_a_policy_or_has_mistakes_with_places(value):
    from guardian.files.document import Document, Place

    found = validate(Document("a.yaml", value, {}, {(): Place(1, 1)}), PolicyFile)
    assert not isinstance(found, PolicyFile)
    assert found
    assert all(mistake.code in FILE_CODES and mistake.line == 1 for mistake in found)


def test_the_schema_knows_keys_and_descriptions_below_lists_and_choices():
    assert allowed_keys(PolicyFile, ("spec", "rules", 3, "columns")) == ["except"]
    assert description_of(PolicyFile, ("spec", "rules", 0, "warn")).startswith("What must not be")
    assert schema_of(PolicyFile)["$defs"]["Defaults"]["properties"]["window"]["default"] == "30d"


@given(st.text(max_size=200))
def test_shown_text_is_one_bounded_line_of_ascii(text):
    line = shown(text)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= 60


def test_names_are_suggested_whatever_their_case():
    assert closest("sex", ["SEX", "RAC1P"]) == "SEX"
    assert closest("a" * 10_000, ["b"]) is None
    assert choice_hint("x", []) == "nothing is allowed here; remove it"


def test_paths_are_written_as_people_write_them():
    assert path_text(("spec", "rules", 0, "labels", "a.b")) == 'spec.rules[0].labels["a.b"]'
