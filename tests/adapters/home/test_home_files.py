"""What a policies directory is read as, by every command alike."""

import pytest

from guardian.adapters.home import files
from guardian.errors import UnreachableError
from guardian.files.strict_yaml import BYTES_MAX


def test_the_top_of_the_directory_is_read_and_cases_stand_apart(tmp_path):
    (tmp_path / "old").mkdir()
    for name in ("b.policy.yaml", "a.model.yml", "b.cases.yaml", "c.cases.yml", "notes.txt", "old/z.policy.yaml"):
        (tmp_path / name).write_bytes(name.encode())
    found = files.read_policies(tmp_path)
    assert found == {str(tmp_path / name): name.encode() for name in ("a.model.yml", "b.policy.yaml")}
    assert [path.name for path in files.case_files(tmp_path)] == ["b.cases.yaml", "c.cases.yml"]


def test_what_is_too_much_is_refused_or_cut_where_it_shows(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_bytes(b"x" * (BYTES_MAX + 9))
    assert len(files.read_file(tmp_path / "a.yaml")) == BYTES_MAX + 1
    monkeypatch.setattr(files, "FILES_MAX", 0)
    with pytest.raises(UnreachableError, match="more than 0 files"):
        files.read_policies(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "a.yaml"])
def test_what_is_no_directory_cannot_be_read(tmp_path, name):
    (tmp_path / "a.yaml").touch()
    with pytest.raises(UnreachableError, match="is no directory"):
        files.read_policies(tmp_path / name)
