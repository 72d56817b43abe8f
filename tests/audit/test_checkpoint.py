"""Signed notes: the format by hand and from outside, keys, and every way in which a note is not to be believed."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guardian.audit.checkpoint import (
    BadSignatureError,
    Checkpoint,
    MalformedCheckpointError,
    OtherOriginError,
    UnknownKeyError,
    join_notes,
    opened,
    origin_of,
    parse_note,
    sign,
    split_notes,
    stream_of,
)
from guardian.audit.signing import KeyRefusedError, PublicKey, load_signing_key, log_name, parse_public_key, private_pem
from guardian.testing.audit_logs import signing_key

KEY = signing_key()
POINT = Checkpoint("guardian/test/decisions/m", 42, bytes(range(32)))
NOTE = sign(POINT, KEY)


def note_by_hand(text, name, seed):
    """A signed note made from nothing but the specification."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + b"\x01" + public).digest()[:4]
    signature = base64.b64encode(key_id + private.sign(text.encode())).decode()
    encoded = base64.b64encode(b"\x01" + public).decode()
    return f"{text}\n— {name} {signature}\n".encode(), f"{name}+{key_id.hex()}+{encoded}"


def note_text(size="42", origin=POINT.origin, root=None):
    return f"{origin}\n{size}\n{root or base64.b64encode(POINT.root).decode()}\n"


def test_a_note_is_the_one_made_by_hand():
    by_hand, public = note_by_hand(note_text(), "guardian/test", bytes([1]) * 32)
    assert by_hand == NOTE
    assert public == KEY.public().text()
    assert opened(parse_note(by_hand), parse_public_key(public)) == POINT


def test_a_key_and_a_signature_from_another_implementation_hold():
    """The example of Go's sumdb/note package, which the specification grew from."""
    key = parse_public_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = base64.b64decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=")
    assert line[:4] == key.id
    assert key.verifies(line[4:], text)
    assert not key.verifies(line[4:], text + b"\n")
    assert not key.verifies(b"short", text)


def test_the_example_of_the_specification_parses():
    note = parse_note(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/"
        "Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n".encode()
    )
    assert (note.checkpoint.origin, note.checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert note.signatures[0].key_id == bytes.fromhex("033de0ae")


def test_signatures_by_others_are_passed_over():
    cosigned = NOTE + f"— witness.example/w {base64.b64encode(bytes(76)).decode()}\n".encode()
    assert opened(parse_note(cosigned), KEY.public()) == POINT


def test_one_bad_signature_of_the_key_spoils_the_note():
    forged = base64.b64encode(KEY.public().id + bytes(64)).decode()
    with pytest.raises(BadSignatureError):
        opened(parse_note(NOTE + f"— {KEY.name} {forged}\n".encode()), KEY.public())


def test_the_wrong_key_the_wrong_signature_and_another_origin_are_told_apart():
    for other in (signing_key(2), signing_key(1, "other")):
        with pytest.raises(UnknownKeyError):
            opened(parse_note(NOTE), other.public())
    with pytest.raises(BadSignatureError):
        opened(parse_note(NOTE.replace(b"\n42\n", b"\n43\n")), KEY.public())
    for origin in ("guardian/other/decisions/m", "guardian/test", "guardian/test/", "guardian/testing/x"):
        note, _ = note_by_hand(note_text(origin=origin), KEY.name, bytes([1]) * 32)
        with pytest.raises(OtherOriginError):
            opened(parse_note(note), KEY.public())
        with pytest.raises(OtherOriginError):
            sign(Checkpoint(origin, 1, bytes(32)), KEY)


def test_every_flipped_bit_of_a_note_is_noticed():
    for at in range(len(NOTE) * 8):
        forged = bytearray(NOTE)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises((MalformedCheckpointError, UnknownKeyError, BadSignatureError)):
            opened(parse_note(bytes(forged)), KEY.public())


@pytest.mark.parametrize(
    "text",
    [
        note_text("042"),
        note_text("-1"),
        note_text("+42"),
        note_text("4_2"),
        note_text("٤٢"),
        note_text("9" * 20),
        note_text("42 "),
        note_text(root="AAAA"),
        note_text(root=base64.b64encode(POINT.root).decode().rstrip("=")),
        note_text(root=base64.b64encode(POINT.root).decode()[:-2] + "9="),
        note_text(origin=""),
        note_text(origin="a\tb"),
        note_text() + "extension\n",
        "guardian/test/decisions/m\n42\n",
    ],
)
def test_a_text_that_is_not_exactly_a_checkpoint_is_malformed_however_well_signed(text):
    note, _ = note_by_hand(text, KEY.name, bytes([1]) * 32)
    with pytest.raises(MalformedCheckpointError):
        parse_note(note)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\xff\n\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace("— ".encode(), b"-- "),
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace(b"\n", b"\r\n"),
        NOTE + b"- x\n",
        NOTE + NOTE[-120:] * 2000,
    ],
)
def test_bytes_that_are_no_note_are_malformed(data):
    with pytest.raises(MalformedCheckpointError):
        parse_note(data)


def test_a_file_holds_the_notes_of_all_streams():
    notes = [sign(Checkpoint(origin_of(KEY.name, name), n, bytes(32)), KEY) for n, name in enumerate(("a", "b/c", "d"))]
    data = join_notes(notes)
    assert data == notes[0] + b"\n" + notes[1] + b"\n" + notes[2]
    assert split_notes(data) == notes
    for bad in (b"", data[:-1], data + b"\n\n", data + b"\nmore\n", data.replace(b"\n\n", b"\n", 1)):
        with pytest.raises(MalformedCheckpointError):
            [opened(parse_note(note), KEY.public()) for note in split_notes(bad)]


def test_origins_name_streams_of_one_log_only():
    assert stream_of(origin_of("guardian/x", "intake/0"), "guardian/x") == "intake/0"
    assert stream_of("guardian/xy/intake/0", "guardian/x") is None


@pytest.mark.parametrize("log_id", ["", "A", "a/b", "a b", "a+b", "a" * 65, "ä", "a\n"])
def test_a_log_id_that_could_be_read_in_two_ways_is_refused(log_id):
    with pytest.raises(KeyRefusedError):
        log_name(log_id)


def test_public_keys_are_read_strictly():
    text = KEY.public().text()
    assert parse_public_key(text) == parse_public_key(text + "\n") == KEY.public()
    other = signing_key(2).public().text()
    swapped = text.rsplit("+", 1)[0] + "+" + other.rsplit("+", 1)[1]
    ecdsa = text.replace("+AY", "+Ag", 1)
    for bad in ("", text + "\n\n", " " + text, text[:-1], swapped, ecdsa, text.replace("guardian", "guard ian"), text * 2):
        with pytest.raises(KeyRefusedError):
            parse_public_key(bad)


def test_private_keys_are_pem_of_ed25519_and_say_nothing_of_themselves():
    pem = private_pem(bytes(32))
    key = load_signing_key(pem, "guardian/x")
    assert "PRIVATE KEY" in pem.decode()
    assert repr(key) == "SigningKey('guardian/x')"
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for bad in (b"", b"secret", pem[:-30], other):
        with pytest.raises(KeyRefusedError) as caught:
            load_signing_key(bad, "guardian/x")
        assert "secret" not in str(caught.value)
    with pytest.raises(KeyRefusedError):
        load_signing_key(pem, "a b")
    with pytest.raises(KeyRefusedError):
        private_pem(bytes(31))
    with pytest.raises(KeyRefusedError):
        PublicKey("guardian/x", bytes(31))
