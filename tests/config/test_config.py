"""Settings: defaults, precedence, and every mistake with its place."""

import pytest

from guardian.config import NAMES, Home, Settings, write_default
from guardian.errors import InvalidFileError, UnreachableError


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_the_paths_of_a_home(home):
    names = ("settings", "database", "policies", "data", "keys", "private_key", "public_key")
    assert [str(getattr(home, name).relative_to(home.root)) for name in names] == [
        "guardian.toml",
        "guardian.db",
        "policies",
        "data",
        "keys",
        "keys/audit.pem",
        "keys/audit.pub",
    ]


def test_without_a_file_everything_is_default(home):
    assert Settings.load(home, {}) == Settings()


def test_the_defaults_are_those_of_one_machine(home):
    settings = Settings.load(home, {})
    assert (settings.batch_events, settings.poll_ms, settings.checkpoint_every_ms) == (20_000, 500, 3_600_000)
    assert (settings.tick_every_ms, settings.judge_every_ms, settings.batch_wait_ms) == (60_000, 500, 500)
    assert (settings.database, settings.broker, settings.broker_security) == ("", "127.0.0.1:9092", "plaintext")


@pytest.mark.parametrize(
    "line",
    [
        'database = "mysql://u:secret@h/n"',
        'broker = "secret"',
        'partitioner = "secret"',
        'broker_password = "a secret"',
        'group = "not secret"',
    ],
)
def test_a_text_out_of_range_is_not_repeated(home, line):
    home.settings.write_text(f'poll = "1s"\n{line}\n')
    with pytest.raises(InvalidFileError) as caught:
        Settings.load(home, {})
    (mistake,) = caught.value.mistakes
    assert (mistake.code, mistake.line) == ("file.out-of-range", 2)
    assert mistake.hint
    assert "secret" not in str(caught.value)


def test_texts_are_read_as_they_are(home):
    home.settings.write_text('database = "postgresql://u:p@h:5/n"\ngroup = "g"\n')
    loaded = Settings.load(home, {"GUARDIAN_GROUP": "7", "GUARDIAN_TOPIC_PREFIX": "a.b"})
    assert (loaded.database, loaded.group, loaded.topic_prefix) == ("postgresql://u:p@h:5/n", "7", "a.b")
    home.settings.write_text("group = 7")
    with pytest.raises(InvalidFileError, match="quotes"):
        Settings.load(home, {})


def test_the_default_file_says_every_setting_and_changes_none(home):
    write_default(home)
    text = home.settings.read_text()
    assert all(f"# {name} = " in text for name in NAMES)
    assert Settings.load(home, {}) == Settings()
    home.settings.write_text("\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line))
    assert Settings.load(home, {}) == Settings()
    with pytest.raises(FileExistsError):
        write_default(home)


def test_the_environment_wins_over_the_file(home):
    home.settings.write_text('batch_events = 7\npoll = "2s"\n')
    assert Settings.load(home, {}) == Settings(batch_events=7, poll_ms=2_000)
    variables = {"GUARDIAN_BATCH_EVENTS": "9", "GUARDIAN_TICK_EVERY": "5m", "GUARDIAN_PORT": "tcp://10.0.0.1:80"}
    assert Settings.load(home, variables) == Settings(batch_events=9, poll_ms=2_000, tick_every_ms=300_000)


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("\nbatch_event = 3", 2, "file.unknown-key"),
        ("# poll\n\n[poll]\nx = 1", 3, "file.wrong-type"),
        ("[engine]\nx = 1", 1, "file.unknown-key"),
        ("batch_events = true", 1, "file.wrong-type"),
        ("batch_events = 1.0", 1, "file.wrong-type"),
        ('batch_events = "3"', 1, "file.wrong-type"),
        ("batch_events = 0", 1, "file.out-of-range"),
        ("poll = 5", 1, "file.wrong-type"),
        ('poll = "5 minutes"', 1, "file.wrong-type"),
        ('poll = "0s"', 1, "file.out-of-range"),
        ('"poll" = "2h"', 1, "file.out-of-range"),
        ("batch_events = 3\npoll =", 2, "file.not-toml"),
    ],
)
def test_a_mistake_has_its_line(home, text, line, code):
    home.settings.write_text(text)
    with pytest.raises(InvalidFileError) as caught:
        Settings.load(home, {})
    (mistake,) = caught.value.mistakes
    assert (mistake.code, mistake.line, mistake.file) == (code, line, str(home.settings))
    assert mistake.hint


def test_all_mistakes_are_listed_with_those_of_the_environment(home):
    home.settings.write_text("a = 1\nb = 2\n")
    with pytest.raises(InvalidFileError) as caught:
        Settings.load(home, {"GUARDIAN_POLL": "soon"})
    assert [(m.file, m.line, m.path) for m in caught.value.mistakes] == [
        (str(home.settings), 1, "a"),
        (str(home.settings), 2, "b"),
        ("environment", 0, "GUARDIAN_POLL"),
    ]


def test_a_near_miss_is_named(home):
    home.settings.write_text("batch_event = 3")
    with pytest.raises(InvalidFileError, match="did you mean batch_events"):
        Settings.load(home, {})


def test_what_cannot_be_read_is_unreachable(home):
    home.settings.write_bytes(b"\xff")
    with pytest.raises(UnreachableError):
        Settings.load(home, {})
    home.settings.write_bytes(b"#" * 300_000)
    with pytest.raises(UnreachableError, match="longer"):
        Settings.load(home, {})
