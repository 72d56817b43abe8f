"""One file a mistake, named for it. Each says in its first lines what is found and where; nothing else may be."""

import re
from pathlib import Path

import pytest

from guardian.catalog.load import MODEL_CODES
from guardian.errors import InvalidFileError
from guardian.files.codes import FILE_CODES
from guardian.policies.codes import POLICY_CODES, WARNING_CODES
from guardian.policies.lint import advise
from guardian.policies.load import load_set

HERE = Path(__file__).parent
MODELS = {"../good/models.yaml": (HERE / "good" / "models.yaml").read_bytes()}
EXPECT = re.compile(r"^# expect: (\S+) (\d+):(\d+)$", re.MULTILINE)
BAD = sorted((HERE / "bad").glob("*.yaml"))
WARNED = sorted((HERE / "warned").glob("*.yaml"))
NOT_IN_A_FILE = {"file.too-large", "file.too-many-nodes", "file.encoding"}  # Too large or no text: in tests/files.


def expected(path):
    return sorted((code, int(line), int(column)) for code, line, column in EXPECT.findall(path.read_text()))


def ids(path):
    return path.stem


@pytest.mark.parametrize("path", BAD, ids=ids)
def test_a_broken_file_is_refused_with_every_mistake_at_its_place(path):
    with pytest.raises(InvalidFileError) as caught:
        load_set({**MODELS, path.name: path.read_bytes()})
    found = caught.value.mistakes
    assert {mistake.file for mistake in found} == {path.name}
    assert sorted((m.code, m.line, m.column) for m in found) == expected(path)
    for mistake in found:
        assert mistake.hint
        assert "\n" not in str(mistake)
        assert mistake.warning == (mistake.code in WARNING_CODES)


@pytest.mark.parametrize("path", WARNED, ids=ids)
def test_a_rule_that_cannot_work_is_warned_of(path):
    found = load_set({**MODELS, path.name: path.read_bytes()})
    warnings = [*found.warnings, *advise(found)]
    assert all(warning.warning for warning in warnings)
    assert sorted((m.code, m.line, m.column) for m in warnings) == expected(path)


def test_every_code_has_its_file_and_every_file_a_known_code():
    codes = {code for path in (*BAD, *WARNED) for code, _, _ in expected(path)}
    known = set(FILE_CODES) | set(MODEL_CODES) | set(POLICY_CODES) | set(WARNING_CODES)
    assert codes | NOT_IN_A_FILE == known


def test_the_models_of_the_corpus_are_fine():
    found = load_set(MODELS)
    assert set(found.models) == {"loans", "prices", "species"}
    assert not found.warnings
