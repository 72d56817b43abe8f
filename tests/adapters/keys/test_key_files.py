"""Key files: their modes from the first instant, never overwritten, never followed, refused where others can read."""

import os
import stat
import threading

import pytest

from guardian.adapters.keys import files
from guardian.adapters.keys.files import KeyExistsError, create_key_pair, ensure_public_key, read_public_key, read_signing_key
from guardian.audit.signing import KeyRefusedError
from guardian.errors import NotFoundError, UnreachableError

NAME = "guardian/test"


@pytest.fixture
def pair(tmp_path):
    return tmp_path / "keys" / "audit.pem", tmp_path / "keys" / "audit.pub"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_pair_is_made_with_its_modes_whatever_the_umask(pair, umask):
    before = os.umask(umask)
    try:
        public = create_key_pair(*pair, NAME)
    finally:
        os.umask(before)
    assert [mode(pair[0]), mode(pair[1]), mode(pair[0].parent)] == [0o600, 0o644 & ~umask, 0o700]
    assert read_signing_key(pair[0], NAME).public() == read_public_key(pair[1]) == public


def test_the_mode_is_there_when_the_file_appears(pair, monkeypatch):
    seen = []
    real = os.open

    def watching(path, flags, *rest, **more):
        number = real(path, flags, *rest, **more)
        if flags & os.O_CREAT:
            seen.append((flags & os.O_EXCL != 0, flags & os.O_NOFOLLOW != 0, stat.S_IMODE(os.fstat(number).st_mode)))
        return number

    monkeypatch.setattr(files.os, "open", watching)
    create_key_pair(*pair, NAME)
    assert seen[0] == (True, True, 0o600)


def test_two_keys_differ(tmp_path):
    one = create_key_pair(tmp_path / "a.pem", tmp_path / "a.pub", NAME)
    assert one != create_key_pair(tmp_path / "b.pem", tmp_path / "b.pub", NAME)


def test_nothing_is_ever_overwritten(pair, tmp_path):
    create_key_pair(*pair, NAME)
    kept = [path.read_bytes() for path in pair]
    for private, public in (pair, (pair[0], tmp_path / "new.pub"), (tmp_path / "new.pem", pair[1])):
        with pytest.raises(KeyExistsError):
            create_key_pair(private, public, NAME)
    assert [path.read_bytes() for path in pair] == kept
    assert not (tmp_path / "new.pem").exists()
    assert not (tmp_path / "new.pub").exists()


def test_a_link_is_not_written_through_nor_read_through(pair, tmp_path):
    target = tmp_path / "elsewhere"
    pair[0].parent.mkdir()
    pair[0].symlink_to(target)
    with pytest.raises(KeyExistsError):
        create_key_pair(*pair, NAME)
    assert not target.exists()
    create_key_pair(tmp_path / "real.pem", tmp_path / "real.pub", NAME)
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "real.pem")
    with pytest.raises(UnreachableError):
        read_signing_key(link, NAME)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o601, 0o777])
def test_a_private_key_that_others_can_reach_is_refused(pair, bits):
    create_key_pair(*pair, NAME)
    pair[0].chmod(bits)
    with pytest.raises(KeyRefusedError, match="chmod 600"):
        read_signing_key(pair[0], NAME)


def test_a_missing_public_half_is_written_again_and_a_foreign_one_refused(pair, tmp_path):
    public = create_key_pair(*pair, NAME)
    pair[1].unlink()
    key = read_signing_key(pair[0], NAME)
    ensure_public_key(pair[1], key)
    ensure_public_key(pair[1], key)
    assert read_public_key(pair[1]) == public
    create_key_pair(tmp_path / "other.pem", tmp_path / "other.pub", NAME)
    with pytest.raises(KeyRefusedError, match="does not belong"):
        ensure_public_key(tmp_path / "other.pub", key)


def test_what_cannot_be_read_is_said_without_its_content(pair, tmp_path):
    for read in (lambda path: read_signing_key(path, NAME), read_public_key):
        with pytest.raises(NotFoundError):
            read(tmp_path / "nowhere")
        with pytest.raises(UnreachableError):
            read(tmp_path)
        bad = tmp_path / "bad"
        bad.write_bytes(b"\xff secret words")
        bad.chmod(0o600)
        with pytest.raises(KeyRefusedError) as caught:
            read(bad)
        assert "secret" not in str(caught.value)
        bad.write_bytes(b"x" * 5_000)
        with pytest.raises(KeyRefusedError, match="too long"):
            read(bad)


def test_a_pipe_does_not_hang_the_reader(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    caught = []

    def read():
        try:
            read_public_key(pipe)
        except KeyRefusedError as error:
            caught.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert caught
