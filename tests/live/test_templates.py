"""What one.host.update, one.cluster.update and one.vm.update do to a template, with bare pyone and with ours.

OpenNebula documents little of it; everything that the parts write depends on these rows.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyone
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onext.oned import objects
from onext.oned.template import UnwritableValue, Value, render
from tests.live.front_end import FrontEnd
from tests.live.scene import Scene

pytestmark = pytest.mark.live

MERGE, REPLACE = 1, 0


class Row(NamedTuple):
    """One line of the table: the template before, the change as text and as a mapping, and what is left."""

    before: str
    text: str
    attributes: Mapping[str, Value]
    after: Mapping[str, object]


TABLE = {
    "a scalar merges": Row('A="1"', 'B="2"', {"B": "2"}, {"A": "1", "B": "2"}),
    "a scalar is overwritten": Row('A="1"', 'A="2"', {"A": "2"}, {"A": "2"}),
    "an empty value leaves an empty element": Row('A="1"', 'A=""', {"A": ""}, {"A": ""}),
    "[ ] removes a scalar": Row('A="1"\nB="2"', "A=[ ]", {"A": None}, {"B": "2"}),
    "[ ] removes a vector": Row('A=[ X="1", Y="2" ]\nB="2"', "A=[ ]", {"A": None}, {"B": "2"}),
    "[ ] removes what is not there": Row('B="2"', "A=[ ]", {"A": None}, {"B": "2"}),
    "a vector is replaced whole": Row(
        'A=[ X="1", Y="2" ]', 'A=[ X="3" ]', {"A": {"X": "3"}}, {"A": {"X": "3"}}
    ),
    "separators live inside quotes": Row("", 'A="a|b,c]d=e#f"', {"A": "a|b,c]d=e#f"}, {"A": "a|b,c]d=e#f"}),
    "a quote is escaped": Row("", 'A="say \\"x\\""', {"A": 'say "x"'}, {"A": 'say "x"'}),
    "a line break is kept": Row("", 'A="one\ntwo"', {"A": "one\ntwo"}, {"A": "one\ntwo"}),
}


class Template(Protocol):
    """A template on the front-end, through one of the two clients."""

    def merge(self, row: Row) -> None:
        """Write the change of `row`; each client takes the form that it knows."""

    def read(self) -> Mapping[str, object]:
        """Return A and B as they stand now."""


@dataclass(frozen=True)
class ThroughPyone:
    """What a script of the administrator does."""

    front_end: FrontEnd
    kind: str
    number: int

    def merge(self, row: Row) -> None:
        """Write the text."""
        getattr(self.front_end.one, self.kind).update(self.number, row.text, MERGE)

    def read(self) -> Mapping[str, object]:
        """Return what pyone's bindings make of it."""
        answer: Any = getattr(self.front_end.one, self.kind).info(self.number)
        found = answer.USER_TEMPLATE if self.kind == "vm" else answer.TEMPLATE
        return _relevant({key: value or "" for key, value in (found or {}).items()})


@dataclass(frozen=True)
class ThroughOurs:
    """What the parts do."""

    front_end: FrontEnd
    kind: str
    number: int

    def merge(self, row: Row) -> None:
        """Write the mapping."""
        getattr(self.front_end.oned, f"update_{self.kind}")(self.number, row.attributes)

    def read(self) -> Mapping[str, object]:
        """Return what our objects hold."""
        document = self.front_end.oned.document(f"{self.kind}.info", self.number, False)
        found = document.find("USER_TEMPLATE" if self.kind == "vm" else "TEMPLATE")
        return _relevant(objects.template(found))


def _relevant(found: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in found.items() if key in ("A", "B")}


@pytest.fixture(params=["host", "cluster", "vm"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of object whose template the parts write."""
    return str(request.param)


@pytest.fixture
def number(scene: Scene, kind: str) -> int:
    """Return the id of a new object of that kind."""
    return {"host": scene.host, "cluster": scene.cluster, "vm": scene.guest}[kind]()


@pytest.fixture(params=[ThroughPyone, ThroughOurs], ids=["pyone", "ours"])
def template(request: pytest.FixtureRequest, front_end: FrontEnd, kind: str, number: int) -> Template:
    """Return the new object's template through each client."""
    found: Template = request.param(front_end, kind, number)
    return found


def test_the_table(template: Template, kind: str, number: int, front_end: FrontEnd) -> None:
    """A part that merges, removes or replaces would leave something else behind than it believes."""
    update = getattr(front_end.one, kind).update
    for name, row in TABLE.items():
        update(number, f"A=[ ]\nB=[ ]\n{row.before}", MERGE)
        template.merge(row)
        assert template.read() == row.after, name


def test_names_come_back_in_upper_case(front_end: FrontEnd, kind: str, number: int) -> None:
    """A key that is read as it was written in lower case would never be found."""
    getattr(front_end.one, kind).update(number, 'a="1"', MERGE)
    assert ThroughPyone(front_end, kind, number).read() == {"A": "1"}


def test_an_unquoted_value_with_a_space_does_not_parse(front_end: FrontEnd, kind: str, number: int) -> None:
    """The whole update is refused, not only the value: everything must be quoted."""
    with pytest.raises(pyone.OneException):
        getattr(front_end.one, kind).update(number, 'B="2"\nA=one two', MERGE)
    assert ThroughPyone(front_end, kind, number).read() == {}


def test_characters_beyond_the_basic_plane_are_refused(scene: Scene) -> None:
    """A host name or label with an emoji fails the whole call: it must be caught, and said, before."""
    with pytest.raises(pyone.OneException, match="Basic Multilingual Plane"):
        scene.front_end.one.cluster.update(scene.cluster(), 'A="\U0001f600"', MERGE)


def test_a_carriage_return_comes_back_as_a_line_break(scene: Scene) -> None:
    """A value that is compared with what was written would seem to change for ever."""
    number = scene.cluster()
    scene.front_end.one.cluster.update(number, 'A="one\rtwo"', MERGE)
    assert ThroughOurs(scene.front_end, "cluster", number).read() == {"A": "one\ntwo"}


def test_replacing_deletes_what_monitoring_wrote(scene: Scene) -> None:
    """With append = 0 on a host takes its capacity and hypervisor away: nothing of ours may use it."""
    host = scene.host()
    monitored = {"HYPERVISOR", "ARCH", "HOSTNAME"}
    if scene.front_end.release >= (7, 0):  # 6.10 removes it when it is monitored again, unchanged
        monitored.add("TOTALCPU")
    assert monitored <= set(scene.oned.host(host).template)
    scene.front_end.one.host.update(host, 'A="1"', REPLACE)
    assert monitored.isdisjoint(scene.oned.host(host).template)


@pytest.fixture(scope="module")
def there_and_back(front_end: FrontEnd) -> Iterator[Callable[[str], Mapping[str, object]]]:
    """Return what writes a value, as scalar and in a vector, and reads both: one cluster for all examples."""
    with ExitStack() as stack:
        template = ThroughOurs(front_end, "cluster", Scene(front_end, stack).cluster())

        def write_and_read(value: str) -> Mapping[str, object]:
            front_end.oned.update_cluster(template.number, {"A": value, "B": {"X": value}})
            return template.read()

        yield write_and_read


SYNTAX = st.text("\\\"'[]=,#\n\t <>&;A", max_size=20)
# oned's XML-RPC refuses what is beyond the basic plane, and XML reads a carriage return as a line break
ANYTHING = st.text(st.characters(max_codepoint=0xFFFF, exclude_characters="\r"), max_size=40)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=SYNTAX | ANYTHING)
def test_any_value_comes_back_as_it_was_written(
    front_end: FrontEnd, there_and_back: Callable[[str], Mapping[str, object]], value: str
) -> None:
    """A value that breaks out of its quotes could write another attribute; one that is changed is lost."""
    try:
        render({"A": value})
    except UnwritableValue:
        return
    kept = front_end.kept(value)
    assert there_and_back(value) == {"A": kept, "B": {"X": kept}}
