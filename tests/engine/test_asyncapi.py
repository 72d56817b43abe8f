"""The AsyncAPI document: valid by the official schema, complete, and leading nowhere but into itself."""

import base64
import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import jsonschema
import pytest

from guardian.engine.asyncapi import ASYNCAPI, Server, asyncapi, message_names
from guardian.engine.messages import DATA
from guardian.engine.topics import SPECS
from guardian.entrypoints.cli import main
from guardian.events.encode import LabelData, PredictionData, encode_label, encode_prediction
from guardian.events.schema import events_schema
from guardian.events.unwrap import ARROW, BATCH, STRUCTURED

# The official schemas come as an npm package; they are fetched, not kept here.
PACKAGE: Final = "@asyncapi/specs@6.11.1"
SHA512: Final = "A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ=="
GIVEN: Final = "GUARDIAN_TEST_ASYNCAPI"  # Path of that package's archive, where it is there already.
FULL: Final = asyncapi("1", "g", "workers", Server(("a:1", "b:2"), True, "SCRAM-SHA-512"))


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> jsonschema.Draft7Validator:
    archive = Path(os.environ[GIVEN]) if GIVEN in os.environ else fetched(tmp_path_factory.mktemp("asyncapi"))
    assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == SHA512
    with tarfile.open(archive) as package:
        file = package.extractfile(f"package/schemas/{ASYNCAPI}.json")
        assert file is not None
        return jsonschema.Draft7Validator(json.load(file))


def fetched(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"AsyncAPI's own schema: no npm, and {GIVEN} is not set")
    subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True, timeout=300)
    (archive,) = folder.glob("*.tgz")
    return archive


@pytest.mark.parametrize("document", [FULL, asyncapi("1", "g", "workers")], ids=["server", "no server"])
def test_it_is_valid_by_the_official_schema(official, document):
    assert [error.message for error in official.iter_errors(document)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["channels"]["alerts"].update(adress="x"),
        lambda document: document["operations"]["sendAlerts"].update(action="publish"),
        lambda document: document["channels"]["alerts"]["bindings"]["kafka"].update(partitions="1"),
        lambda document: document["components"]["schemas"]["alert"].update(type="objekt"),
        lambda document: document["servers"]["broker0"].pop("protocol"),
    ],
)
def test_the_official_schema_sees_what_is_wrong(official, spoil):
    document = copy.deepcopy(FULL)
    spoil(document)
    assert list(official.iter_errors(document))


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from references(each)


def resolved(document, reference):
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_every_reference_leads_somewhere_and_everything_is_used():
    used = set(references(FULL))
    assert len(used) > 20
    for reference in used:
        assert resolved(FULL, reference)
    assert {f"#/components/messages/{name}" for name in FULL["components"]["messages"]} <= used


def test_every_topic_type_and_form_is_in_it():
    assert [channel["address"] for channel in FULL["channels"].values()] == [f"g.{spec.name}" for spec in SPECS]
    assert [operation["action"] for operation in FULL["operations"].values()] == ["receive", "receive", *["send"] * 4]
    messages = FULL["components"]["messages"]
    for spec in SPECS:
        own = [messages[name] for name in message_names(spec)]
        assert {message["contentType"] for message in own} == set(spec.formats)
        structured = [message["title"] for message in own if message["contentType"] == STRUCTURED]
        assert structured == list(spec.types)
    assert {BATCH, ARROW} <= {message["contentType"] for message in messages.values()}


def validator(name):
    schema = {**FULL["components"]["messages"][name]["payload"], "components": FULL["components"]}
    return jsonschema.Draft202012Validator(schema)


def test_events_that_guardian_makes_are_what_it_says_they_are():
    prediction = json.loads(encode_prediction("a", 0, PredictionData(model="m", features={"x": 1.5}, prediction=1, score=0.5)))
    label = json.loads(encode_label(5, LabelData(prediction_id="a", model="m", label=1)))
    validator("prediction").validate(prediction)
    validator("predictionBinary").validate(prediction["data"])
    validator("label").validate(label)
    validator("eventsBatch").validate([prediction, label])
    for name, wrong in (("prediction", label), ("label", prediction), ("predictionBinary", prediction), ("eventsBatch", [])):
        assert not validator(name).is_valid(wrong)


def types_of(value):
    """Yield every CloudEvents type that a schema fixes."""
    if isinstance(value, dict):
        kind = value.get("properties", {}).get("type", {})
        yield from [kind["const"]] if "const" in kind else kind.get("enum", ())
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from types_of(each)


def test_every_type_of_the_events_schema_is_some_messages():
    types = set(types_of(events_schema()))
    assert len(types) == 5
    (spec,) = (spec for spec in SPECS if spec.name == "events")
    assert types == set(spec.types)
    own = [FULL["components"]["messages"][name] for name in message_names(spec)]
    assert {message["title"] for message in own if "title" in message} == types


def test_events_of_model_servers_are_what_it_says_they_are():
    page = (Path(__file__).parents[2] / "docs/events.md").read_text("utf-8")
    examples = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]
    (response,) = (each for each in examples if each["type"].endswith(".response"))
    (whole,) = (each for each in examples if each["type"] == "io.guardian.inference.v1")
    request = {**response, "type": response["type"].replace(".response", ".request")}
    validator("inferenceRequest").validate(request)
    validator("inferenceResponse").validate(response)
    validator("inferenceResponseBinary").validate(response["data"])
    validator("inference").validate(whole)
    for name, wrong in (("inferenceRequest", response), ("inferenceResponse", request), ("inference", request)):
        assert not validator(name).is_valid(wrong)
    assert not validator("eventsBatch").is_valid([whole])  # A batch holds predictions and labels.
    needed = {name: FULL["components"]["messages"][name]["headers"]["required"] for name in ("inferenceBinary", "labelBinary")}
    assert ["ce_time" in each for each in needed.values()] == [False, True]


def test_schemas_of_data_are_schemas():
    for schema in DATA.values():
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_command_prints_it_for_this_home(tmp_path, monkeypatch, capsys):
    for name, value in {"BROKER": "a:1,b:2", "TOPIC_PREFIX": "g", "GROUP": "workers", "BROKER_SECURITY": "sasl_tls"}.items():
        monkeypatch.setenv(f"GUARDIAN_{name}", value)
    assert main(["--home", str(tmp_path), "schema", "asyncapi", "--servers"]) == 0
    document = json.loads(capsys.readouterr().out)
    document["info"]["version"] = "1"
    assert document == json.loads(json.dumps(FULL))
    assert main(["--home", str(tmp_path), "schema", "asyncapi"]) == 0
    assert "servers" not in json.loads(capsys.readouterr().out)
    assert main(["--home", str(tmp_path), "schema", "policy", "--servers"]) == 2
