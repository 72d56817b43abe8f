"""What facts about an installation mean."""

import tomllib
from pathlib import Path
from typing import Final

import pytest

from guardian.adapters.packages import declared_extras, installed, required
from guardian.engine import doctor
from guardian.engine.doctor import EXTRAS, Extra, LeaseRow, Library
from guardian.engine.fates import StoreBusyError
from guardian.engine.findings import State, exit_code
from guardian.errors import NotFoundError, UnreachableError

PYPROJECT: Final = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
MADE_UP: Final = {
    "loud": Extra(("loud-lib",), "louder alerts", "production use needs a licence"),
    "quiet": Extra(("quiet-lib",), "quieter alerts"),
}


@pytest.mark.parametrize(
    ("free", "state"), [(100 << 20, "warn"), ((100 << 20) - 1, "fail"), (1 << 30, "ok"), ((1 << 30) - 1, "warn")]
)
def test_room_on_the_disk(free, state):
    found = doctor.check_disk(free, "/x")
    assert found.state == state
    assert bool(found.hint) is (state != "ok")


@pytest.mark.parametrize(
    ("skew", "state", "said"), [(5_000, "ok", "ahead"), (5_001, "warn", "5.0 s ahead"), (-9_000, "warn", "9.0 s behind")]
)
def test_clocks_may_differ_by_five_seconds(skew, state, said):
    found = doctor.check_clock("the database's clock", 1_000_000 + skew, 1_000_000)
    assert found.state == state
    assert said in found.what


def test_leases_are_held_free_or_run_out():
    rows = [LeaseRow("a", "me", 11), LeaseRow("b", "me", 10), LeaseRow("c", "", 0)]
    found = list(doctor.check_leases(rows, 10))
    assert [each.state for each in found] == [State.OK, State.WARN, State.OK]
    assert "did not give it back" in found[1].what


def test_a_pinned_library_must_be_the_version_and_a_missing_one_is_told():
    rows = [Library("faust", "1.2", "1.3", "BSD"), Library("aiokafka", "2", "2", "Apache-2.0"), Library("numpy", "", "", "")]
    *flaws, licences = doctor.check_libraries(rows)
    assert [(each.state, each.hint) for each in flaws] == [
        (State.FAIL, "install faust==1.2"),
        (State.FAIL, "install guardian with its lock file, requirements/default.txt"),
    ]
    assert licences.what == "all permissive"


@pytest.mark.parametrize(
    ("licence", "is_named"),
    [("MIT", False), ("BSD License", False), ("LGPL-3.0-only", True), ("MIT AND GPL-3.0", True), ("MPL-2.0", True), ("", True)],
)
def test_a_licence_that_is_not_permissive_is_named(licence, is_named):
    *_, found = doctor.check_libraries([Library("psycopg", "", "3.3", licence)])
    assert (f"psycopg 3.3 ({licence})" in found.what) is is_named


def test_the_libraries_that_run_here_are_the_pinned_ones():
    found = required()
    assert {"faust-streaming", "aiokafka"} <= {each.name for each in found if each.pinned}
    assert exit_code(doctor.check_libraries(found)) == 0
    assert all(each.licence for each in found)


def test_extras_are_told_here_or_not():
    absent = list(doctor.check_extras(MADE_UP, {}))
    assert [(each.check, each.state) for each in absent] == [("extra loud", State.OK), ("extra quiet", State.OK)]
    assert absent[0].what == "not installed; it would give louder alerts"
    libraries = [Library("loud-lib", "", "0.13.0", "Business Source License 1.1"), Library("quiet-lib", "", "2", "")]
    loud, quiet = doctor.check_extras(MADE_UP, {each.name: each for each in libraries})
    assert (loud.state, loud.hint) == (State.WARN, "production use needs a licence")
    assert loud.what == "loud-lib 0.13.0 (Business Source License 1.1)"
    assert (quiet.state, quiet.what) == (State.OK, "quiet-lib 2 (licence not told)")


def test_every_declared_extra_is_explained_and_no_other_offered():
    assert set(EXTRAS) == set(PYPROJECT["project"].get("optional-dependencies", {})) == set(declared_extras())
    assert installed(["aiokafka", "no-such-package-anywhere"]).keys() == {"aiokafka"}


@pytest.mark.parametrize(
    ("error", "is_known", "code"),
    [
        (UnreachableError("a\nb", hint="h"), False, 4),
        (StoreBusyError("a\nb", hint="h"), False, 4),
        (UnreachableError("a\nb", hint="h"), True, 1),
        (NotFoundError("a\nb", hint="h"), False, 1),
    ],
)
def test_what_could_not_be_reached_is_no_finding_of_a_fault(error, is_known, code):
    found = doctor.from_error("database", error, is_known=is_known)
    assert (found.what, found.hint, exit_code([found])) == ("a b", "h", code)
