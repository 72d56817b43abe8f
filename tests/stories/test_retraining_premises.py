"""When a model that has become worse is to be trained again, and when its inputs are to be mended first."""

import pytest

from guardian.testing.stories import ACCURACY, Plot, World, files, policy


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ({"metric": "quality.missing_share", "columns": ["sex"], "error": "< 0.9"}, False),
        ({"metric": "quality.volume", "error": "> 0"}, True),
        ({"metric": "quality.label_delay", "error": "< 100"}, True),
    ],
    ids=["missing share", "volume", "label delay"],
)
def test_only_alerts_about_what_inputs_say_keep_a_model_from_being_trained_again(rule, asked):
    first = policy("always", {"alert": "Always", **rule}, defaults={"window": "2h", "every": "1h", "open_after": 1})
    world = World().activate(files(policies=(first, policy("outcome", ACCURACY)))).tell(Plot().events()).drain()
    got = world.outcome()
    assert "firing" in {row["state"] for row in got.alerts.values() if row["rule"] == "Always"}
    assert ("requested" in {row["state"] for row in got.requests.values()}) is asked
