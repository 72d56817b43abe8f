"""The fleet's compose file and image: valid, closed where they can be, and naming only what guardian has."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import typer
from ruamel.yaml import YAML
from services.process import Process, free_ports

from guardian.config import NAMES, PREFIX, Home, Settings
from guardian.entrypoints.cli import app
from services import kafka

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = {name for name, service in SERVICES.items() if "build" in service}
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
DOCKERFILE: Final = [
    (word, rest)
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.M)).splitlines()
    for word, _, rest in [line.partition(" ")]
    if word
]


def filled(value: object, password: str = "") -> str:
    """Return a value as compose would make it: the password as given, every other variable at its default."""
    return VARIABLE.sub(lambda found: found[3] if found[2] == "-" else password, str(value))


def instructions(word: str) -> list[str]:
    return [rest.strip() for name, rest in DOCKERFILE if name == word]


def call(words: list[str]) -> str:
    """Parse a command line of `guardian` as it would, run nothing, and return the command's path."""
    command = typer.main.get_command(app)
    context = command.make_context("guardian", list(words))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    return context.command_path


def test_the_compose_file_is_valid():
    spec = importlib.util.find_spec("check_jsonschema")  # It ships the Compose Specification's schema; only that is used.
    assert spec is not None
    (folder,) = spec.submodule_search_locations or []
    schema = json.loads((Path(folder) / "builtin_schemas/vendor/compose-spec.json").read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert [error.message for error in validator.iter_errors(COMPOSE | {"services": {"x": {"imagee": "a:1"}}})] != []


def test_the_fleet_is_whole():
    assert set(SERVICES) == {"kafka", "postgres", "init", "worker", "judge"}
    assert {"init", "worker", "judge"} == OURS
    assert SERVICES["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed(name):
    service = SERVICES[name]
    assert re.fullmatch(r"[\w/.-]+:\d+\.\d+(\.\d+)?(-\w+)?", service["image"])
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)
    assert service.get("read_only", False) == (name != "kafka")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["restart"].startswith("on-failure" if name == "init" else "unless-stopped")
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"init"}))
def test_a_service_says_how_it_is(name):
    check = SERVICES[name]["healthcheck"]
    assert {"test", "interval", "timeout", "start_period", "retries"} <= set(check)
    assert check["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        ends = SERVICES[other]["healthcheck"].get("disable", False)
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_volumes_are_named_and_used():
    mounts = [filled(mount).split(":") for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert {source for source, *_ in mounts if not source.startswith(".")} == set(COMPOSE["volumes"])
    for source, target, *mode in mounts:
        if source.startswith("."):
            assert mode == ["ro"]
            assert (ROOT / source).is_dir()
            assert Path(target).parent == Path(home())


def test_only_init_writes_into_the_home_directory():
    for name in OURS:
        (mode,) = [mount.partition(f":{home()}")[2] for mount in SERVICES[name]["volumes"] if mount.startswith("home:")]
        assert mode == ("" if name == "init" else ":ro")


def home() -> str:
    (found,) = re.findall(r"GUARDIAN_HOME=(\S+)", " ".join(instructions("ENV")))
    return str(found)


def test_every_variable_of_guardian_is_a_setting(tmp_path):
    for name in OURS:
        variables = {key: filled(value, "x") for key, value in SERVICES[name]["environment"].items()}
        assert {key.removeprefix(PREFIX).lower() for key in variables} <= set(NAMES)
        settings = Settings.load(Home(tmp_path), variables)
        assert settings.broker == "kafka:9092"
        assert settings.database == "postgresql://guardian:x@postgres:5432/guardian"
    named = re.findall(r"(GUARDIAN_\w+)=", " ".join(instructions("ENV")))
    assert named == ["GUARDIAN_HOME"]


def test_what_can_be_chosen_is_in_the_example():
    found = VARIABLE.findall((ROOT / "docker-compose.yml").read_text("utf-8"))
    example = (ROOT / ".env.example").read_text("utf-8")
    assert {name for name, _, _ in found} == set(re.findall(r"^#?(\w+)=", example, re.M))
    for name, how, default in found:
        assert how in {"-", "?"}
        assert (f"\n#{name}={default}\n" if how == "-" else f"\n{name}=\n") in example
    assert "\n.env\n" in (ROOT / ".gitignore").read_text("utf-8")


def test_no_secret_is_written_down():
    for service in SERVICES.values():
        for key, value in service["environment"].items():
            if "PASSWORD" in key or ("://" in str(value) and "@" in str(value)):
                assert "${GUARDIAN_POSTGRES_PASSWORD:?" in value
                assert filled(value) in {"", "postgresql://guardian:@postgres:5432/guardian"}


def test_every_command_is_one_of_guardian():
    (script,) = SERVICES["init"]["command"]
    assert SERVICES["init"]["entrypoint"] == ["/bin/sh", "-euc"]
    calls = [line.split() for line in script.splitlines()]
    assert {words[0] for words in calls} == {"guardian"}
    assert [call(words[1:]) for words in calls] == ["guardian init", "guardian db upgrade", "guardian topics create"]
    assert instructions("ENTRYPOINT") == ['["guardian"]']
    for name in ("worker", "judge"):
        assert call(SERVICES[name]["command"]) == "guardian worker"
        assert call(SERVICES[name]["healthcheck"]["test"][2:]) == "guardian db check"
    (check,) = instructions("HEALTHCHECK")
    assert call(json.loads(check[check.index("[") :])[1:]) == "guardian db check"
    with pytest.raises(Exception, match="No such option"):
        call(["db", "check", "--nonesuch"])


def test_the_image_is_built_from_the_lock_and_runs_as_nobody_in_particular():
    (base,) = instructions("ARG")
    version = re.fullmatch(r"PYTHON=python:(\d+\.\d+)\.\d+-slim-\w+", base)
    assert version is not None
    assert PROJECT["requires-python"] == f">={version[1]}"
    assert {image.partition(" ")[0] for image in instructions("FROM")} == {"${PYTHON}"}
    installs = [run for run in instructions("RUN") if "pip install" in run]
    assert [run.partition("pip install ")[2] for run in installs] == [
        "--no-deps --require-hashes -r requirements/default.txt",
        "--no-deps --no-build-isolation .",
    ]
    assert instructions("USER") == ["guardian"]
    (made,) = [run for run in instructions("RUN") if "useradd" in run]
    assert {SERVICES[name]["user"] for name in OURS} == {":".join(re.search(r"--uid (\d+) --gid (\d+)", made).groups())}
    assert {SERVICES[name]["image"] for name in OURS} == {f"guardian:{PROJECT['version']}"}


def test_the_image_is_given_what_it_copies_and_no_more():
    copied = [word for rest in instructions("COPY") if "--from" not in rest for word in shlex.split(rest)[:-1]]
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    assert {Path(word).parts[0] for word in copied} == {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all((ROOT / word).exists() for word in copied)
    assert not [word for word in copied if fnmatch.fnmatch(word, "*.env*")]


@pytest.mark.slow
def test_kafka_starts_as_the_image_would_start_it(tmp_path):
    """The image's own program turns the variables into settings and formats the log; it is part of Kafka's archives."""
    if not kafka.is_installed():
        pytest.skip(kafka.MISSING)
    ports = dict(zip(("9092", "9093", "29092"), map(str, free_ports(3)), strict=True))
    given = filled(json.dumps(SERVICES["kafka"]["environment"])).replace("FLEET://kafka", "FLEET://127.0.0.1")
    moved = re.sub(r":(9092|9093|29092)\b", lambda port: f":{ports[port[1]]}", given).replace("/var/lib/kafka", str(tmp_path))
    variables = {name: str(value) for name, value in json.loads(moved).items()}
    for kind in ("default", "mounted", "final"):
        (tmp_path / kind).mkdir()
    for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):  # What the image lays down, less what it says.
        (tmp_path / "default" / name).write_text("" if name == "server.properties" else "Configuration: {Loggers: {}}\n")
    folders = [word for kind in ("default", "mounted", "final") for word in (f"--{kind}-configs-dir", str(tmp_path / kind))]
    java = ["java", variables["KAFKA_HEAP_OPTS"], "-cp", f"{kafka.ARCHIVES}/*"]
    setup = subprocess.run(
        [*java, "kafka.docker.KafkaDockerWrapper", "setup", *folders],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert setup.returncode == 0, setup.stderr
    process = Process("Kafka", tmp_path / "log")
    brokers = [kafka.Broker(f"127.0.0.1:{ports[port]}") for port in ("9092", "29092")]  # The fleet's door and the host's.
    process.start([*java, "kafka.Kafka", str(tmp_path / "final/server.properties")], lambda: all(b.is_ready() for b in brokers))
    process.stop(signal.SIGTERM)
