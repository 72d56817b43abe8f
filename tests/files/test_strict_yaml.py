"""Strict YAML: what values mean, what is refused, the bounds, and that places are true."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.files.codes import FILE_CODES
from guardian.files.document import Place
from guardian.files.nodes import DEPTH_MAX, MISTAKES_MAX, NODES_MAX
from guardian.files.scalars import DIGITS_MAX
from guardian.files.strict_yaml import BYTES_MAX, read

keys = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=12)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def only(text):
    reading = read(text.encode(), "x.yaml")
    assert not reading.mistakes
    return reading.documents[0]


def codes(data):
    reading = read(data if isinstance(data, bytes) else data.encode(), "x.yaml")
    return [(m.code, m.line, m.column) for m in reading.mistakes]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *[
            (word, word)
            for word in (
                "no",
                "No",
                "NO",
                "yes",
                "on",
                "off",
                "y",
                "n",
                "12:30:45",
                "1:30",
                "2024-01-01",
                "0b11",
                "1_000",
                "01:02",
            )
        ],
        *[
            ("1e3", 1000.0),
            ("010", 10),
            ("0o17", 15),
            ("0x1F", 31),
            ("+12", 12),
            ("-0", 0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1.5e-3", 0.0015),
        ],
        *[
            ("~", None),
            ("null", None),
            ("", None),
            ("NULL", None),
            ("nULL", "nULL"),
            ("true", True),
            ("False", False),
            ("tRUE", "tRUE"),
        ],
        *[('"1"', "1"), ("'no'", "no"), ('"\\u00e9"', "é"), ("1.2.3", "1.2.3"), ("0o8", "0o8"), ("=", "="), ("٣", "٣")],
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text, meaning):
    got = only(f"a: {text}").value["a"]
    assert got == meaning
    assert type(got) is type(meaning)


def test_infinity_and_not_a_number_are_floats():
    low, nan = only("[-.inf, .NaN]").value
    assert low == -float("inf")
    assert nan != nan


@given(values)
def test_json_means_itself(value):
    document = read(json.dumps({"root": value}, ensure_ascii=False).encode(), "x.yaml").documents[0]
    assert document.value == {"root": value}
    assert document.whole


def block(value, indent=0):
    """Write a value in block style with random-free layout; flow style for what is empty."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"\n{pad}{json.dumps(k, ensure_ascii=False)}: {block(v, indent + 1)}" for k, v in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{pad}- {block(v, indent + 1)}" for v in value)
    return json.dumps(value, ensure_ascii=False)


@given(st.dictionaries(keys, values, min_size=1, max_size=4), st.booleans())
def test_every_place_is_where_the_text_stands(value, flow):
    text = json.dumps(value, ensure_ascii=False, indent=1) if flow else block(value)
    lines = text.split("\n")
    document = only(text)

    def at(place):
        return lines[place.line - 1][place.column - 1 :]

    def walk(here, path):
        if isinstance(here, dict):
            for key, inner in here.items():
                assert at(document.keys[(*path, key)]).startswith(json.dumps(key, ensure_ascii=False))
                walk(inner, (*path, key))
        elif isinstance(here, list):
            for i, inner in enumerate(here):
                walk(inner, (*path, i))
        elif here is not None:
            assert at(document.values[path]).startswith(json.dumps(here, ensure_ascii=False))

    walk(value, ())
    assert document.value == value


def test_places_count_characters_after_a_byte_order_mark_and_in_windows_lines():
    document = read("﻿a: 1\r\nää: [x, y]\r\n".encode(), "x.yaml").documents[0]
    assert document.keys[("ää",)] == Place(2, 1)
    assert document.values[("ää", 1)] == Place(2, 9)


def test_the_place_of_what_is_not_there_is_its_nearest_parent():
    document = only("a:\n  b: {c: 1}\n")
    assert document.place(("a", "b", "d", "e")) == document.place(("a", "b")) == Place(2, 6)
    assert document.place(("a", "b"), key=True) == Place(2, 3)
    assert document.place(("zzz",)) == Place(1, 1)


def test_a_value_left_out_stands_at_its_key():
    assert only("a: 1\nb:\n\nc: 2").values[("b",)] == Place(2, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: &x 1\nb: *x", [("file.anchor", 1, 4), ("file.alias", 2, 4)]),
        ("a: 1\n<<: {b: 2}", [("file.merge-key", 2, 1)]),
        ("a: !!str 1", [("file.tag", 1, 4)]),
        ("a: !!python/object/apply:os.system [id]", [("file.tag", 1, 4)]),
        ("a: 1\nb: {a: 1, a: 2}\na: 3", [("file.duplicate-key", 2, 11), ("file.duplicate-key", 3, 1)]),
        (
            "no: 1\n1: 2\ntrue: 3\n~: 4\n? [x]\n: 5",
            [("file.key-not-text", line, column) for line, column in ((2, 1), (3, 1), (4, 1), (5, 3))],
        ),
        ("%YAML 1.1\n---\na: 1", [("file.directive", 2, 1)]),
        ("---\na: 1\n---\n---\nb: 2", [("file.empty", 3, 1)]),
        ("", [("file.empty", 1, 1)]),
        ("# nothing\n", [("file.empty", 1, 1)]),
        ("a: [1, 2\n", [("file.syntax", 2, 1)]),
        ("a: 1\n\tb: 2", [("file.syntax", 2, 1)]),
        ("a: \x07", [("file.character", 1, 4)]),
        ("a: 1\nb: x﻿y", [("file.character", 2, 5)]),
        ('a: "\\ud800"\nb: "\\e[31m"', [("file.character", 1, 4), ("file.character", 2, 4)]),
        (b"a: \xff", [("file.encoding", 1, 4)]),
        ("a: 1\n".encode("utf-16"), [("file.encoding", 1, 1)]),
        ("a: 1" + "0" * DIGITS_MAX, [("file.number-too-long", 1, 4)]),
    ],
)
def test_what_is_refused_is_told_with_its_place(text, found):
    assert codes(text) == found


def test_quotes_make_a_key_text_and_a_merge_key_ordinary():
    assert only('"<<": 1\n"1": 2').value == {"<<": 1, "1": 2}


def test_escaped_characters_that_are_refused_do_not_stay_in_the_value():
    assert read(b'a: "x\\ud800\\0y"', "x.yaml").documents[0].value == {"a": "xy"}


def test_documents_before_the_one_that_cannot_be_read_are_kept():
    reading = read(b"a: 1\n---\nb: 2\n---\nc: [", "x.yaml")
    assert [d.value for d in reading.documents] == [{"a": 1}, {"b": 2}]
    assert [m.code for m in reading.mistakes] == ["file.syntax"]


def test_a_document_that_lost_a_part_says_so():
    whole = {
        text: read(text.encode(), "x.yaml").documents[0].whole for text in ("a: 1", "a: 1\na: 2", "1: a", "a: *b", "<<: {a: 1}")
    }
    assert list(whole.values()) == [True, True, False, False, False]


def test_a_file_may_be_as_large_as_the_bound_and_no_larger():
    text = "a: " + "x" * (BYTES_MAX - 3)
    assert not codes(text)
    assert codes(text + "x") == [("file.too-large", 1, 1)]


def test_nesting_ends_at_the_bound():
    assert not codes("[" * DEPTH_MAX + "]" * DEPTH_MAX)
    assert codes("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)) == [("file.too-deep", 1, DEPTH_MAX + 1)]


def test_nodes_end_at_the_bound():
    most = "[" + "1," * (NODES_MAX - 1) + "]"  # The list is a node as well.
    assert not codes(most)
    assert codes(most.replace("]", "1]")) == [("file.too-many-nodes", 1, 2 * NODES_MAX)]


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 200_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "? " * 100_000,
        "a: &a [x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)),
        "&a [" * 1_000,
    ],
    ids=["lists", "mappings", "block", "keys", "laughs", "anchors"],
)
def test_a_bomb_is_refused_while_it_is_read(bomb):
    reading = read(bomb.encode(), "x.yaml")
    assert reading.mistakes
    assert len(reading.mistakes) <= MISTAKES_MAX
    assert len(json.dumps([d.value for d in reading.documents])) < len(bomb) + 100


def test_mistakes_are_bounded():
    assert len(codes("\n".join(f"{i}: x" for i in range(MISTAKES_MAX * 2)))) == MISTAKES_MAX


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!|>'\"%@`#,? \n\t~<0", max_size=60).map(str.encode))
@settings(max_examples=300)
def test_any_bytes_give_documents_or_mistakes_within_the_file(data):
    reading = read(data, "x.yaml")
    assert reading.documents or reading.mistakes
    lines = data.decode("utf-8", "replace").splitlines()
    for mistake in reading.mistakes:
        assert mistake.code in FILE_CODES
        assert 1 <= mistake.line <= len(lines) + 1
        assert mistake.column >= 1
        assert "\n" not in str(mistake)
