"""What the one who acts sees and does in earnest, on answers recorded from OpenNebula 7.0.2."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from onext.cloud.snapshot import clock
from onext.hosts.actions.effects import Effects
from onext.hosts.actions.world import Failed
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.claims import STATE_KEY, HostRecord, claim_vector
from onext.hosts.model import Bmc, Claim, Phase, Record
from onext.oned import stream
from onext.oned.errors import NotFound, OnedError, TimedOut
from onext.oned.objects import HostState, Vm
from onext.settings import Settings
from onext.xml import Element, parse
from tests.onext.hosts.document_pool import DocumentPool

CLAIM = Claim(Phase.WAKING, 1_800_000_000.0, 2, 7, 120.0, "VM 9 waits", asked=1.0, slept=True, opened=True)


class Oned:
    """A front-end that answers what was recorded, and keeps what it was told."""

    source = None

    def __init__(self, recordings: Path) -> None:
        self.recordings = recordings
        self.host_ = "host.monitored-with-vms"
        self.vms = ["vm.active"]
        self.hosts: list[Element] = list(parse((recordings / "hostpool.xml").read_bytes()))
        self.told: list[Any] = []
        self.fails: OnedError | None = None
        self.documents = DocumentPool()

    def _try(self) -> None:
        if self.fails:
            raise self.fails

    def document(self, method: str, host: int, *rest: object) -> Element:
        self._try()
        if self.documents.answers(method):
            return self.documents.document(method, host, *rest)
        element = parse((self.recordings / f"{self.host_}.xml").read_bytes())
        element.find("ID").text = str(host)  # type: ignore[union-attr]
        return element

    def pool(self, _source: object, method: str, *_: object, **__: object) -> Iterator[bytes]:
        self._try()
        if method == "hostpool.info":
            yield from map(ET.tostring, self.hosts)
        else:
            yield from ((self.recordings / f"{name}.xml").read_bytes() for name in self.vms)

    def vm(self, _number: int) -> Vm:
        self._try()
        return Vm.of(parse((self.recordings / f"{self.vms[0]}.xml").read_bytes()))

    def call(self, method: str, *words: object) -> int | None:
        self._try()
        if self.documents.answers(method):
            return self.documents.call(method, *words)
        self.told.append((method, *words))
        return None

    def update_host(self, host: int, changes: dict[str, object]) -> None:
        self._try()
        self.told.append((host, changes))


@pytest.fixture
def oned(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Oned:
    """Give a front-end."""
    made = Oned(recordings)
    monkeypatch.setattr(stream, "pool", made.pool)
    return made


@pytest.fixture
def live(oned: Oned) -> Effects:
    """Give the hands of server 2."""
    context = SimpleNamespace(
        settings=Settings(), oned=oned, now=lambda: 1_800_000_000.0, stopped=lambda part: part == "power"
    )
    return Effects(context, BmcConfig(Path("bmc.yaml")), 2, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recorded", "host", "number"),
    [("vm.active", 7, 14), ("vm.poweroff", 0, 7), ("vm.suspended", 2, 8), ("vm.active-migrated", 1, 4)],
)
def test_a_vm_of_any_state_is_seen_though_its_host_does_not_list_it(
    live: Effects, oned: Oned, recorded: str, host: int, number: int
) -> None:
    """A host's own list leaves out VMs that resume on it: it would be switched off under them."""
    oned.host_, oned.vms = "host.error", ["vm.done", recorded, "vm.pending"]
    assert live.see(host, whole=True).vms == {number}
    assert not live.see(host, whole=True).empty


@pytest.mark.parametrize(("recorded", "host"), [("vm.stopped", 2), ("vm.undeployed", 1), ("vm.done", 3)])
def test_vms_that_have_left_do_not_hold_their_last_host(
    live: Effects, oned: Oned, recorded: str, host: int
) -> None:
    """Each host that ever had a VM would burn for ever."""
    oned.host_, oned.vms = "host.error", [recorded]
    assert live.see(host, whole=True).empty


def test_the_hosts_own_list_counts_too(live: Effects, oned: Oned) -> None:
    """A VM that is leaving is in its list, and its history says elsewhere already."""
    oned.vms = []
    sight = live.see(6)
    assert sight.vms == {5}
    assert sight.state is HostState.MONITORED
    assert sight.monitored > 1_700_000_000


def test_what_an_offline_host_forgets_is_kept(live: Effects, oned: Oned) -> None:
    """Nobody would know what fits on a sleeping host."""
    kept = live.see(6).capacity
    assert (kept["TOTAL_CPU"], kept["MAX_MEM"]) == ("800", "16777216")
    assert "02:00.0" in kept["PCI"]
    assert "NUMA" in kept
    oned.host_ = "host.offline"
    assert live.see(6).capacity == {}


def test_a_claim_comes_back_as_it_was_written(live: Effects, oned: Oned) -> None:
    """Another front-end continues from the document; people and an earlier version read the template."""
    live.write(6, CLAIM, Record(wakes=3))
    assert (live.see(6).claim, live.see(6).record.wakes) == (CLAIM, 3)
    live.write(6, None, before=CLAIM)
    assert (live.see(6).claim, live.see(6).record.wakes) == (None, 3)
    copies = [told[1][STATE_KEY] for told in oned.told]
    assert copies == [claim_vector(CLAIM), None]


def test_S13_a_claim_that_another_writer_has_changed_is_not_replaced(live: Effects) -> None:
    """Two parts would each believe that the host is theirs."""
    live.write(6, CLAIM)
    other = Effects(live.context, live.book, 1, 8)
    other.write(6, replace(CLAIM, phase=Phase.OFF, server=1), before=CLAIM)
    with pytest.raises(Failed, match="has version 2, expected 1"):
        live.write(6, None, before=CLAIM)
    live.see(6)
    with pytest.raises(Failed, match="another writer has changed its record"):
        live.write(6, None, before=CLAIM)


def test_C6_only_the_last_look_reads_the_pool_of_vms(live: Effects, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switching one empty host off read 76 MB five times."""
    monkeypatch.setattr(stream, "pool", lambda *_, **__: pytest.fail("the pool was read"))
    assert live.see(6).vms == {5}


def claimed(element: Element, claim: Claim) -> None:
    template = element.find("TEMPLATE")
    assert template is not None
    for key, value in claim_vector(claim).items():
        vector = template.find(STATE_KEY)
        ET.SubElement(vector if vector is not None else ET.SubElement(template, STATE_KEY), key).text = value


def test_others_are_those_of_the_cluster_that_take_vms(live: Effects, oned: Oned) -> None:
    """MIN_HOSTS would be counted with hosts that sleep, are sick, or stand elsewhere."""
    assert live.others(0) == 4
    assert live.others(8) == 2  # 5 and 6: 7 is offline
    live.records.put(1, HostRecord("node-a2", CLAIM), None)
    assert live.others(0) == 3
    live.records.put(2, HostRecord("node-a3", replace(CLAIM, phase=Phase.LEFT)), None)
    assert live.others(0) == 3
    claimed(next(host for host in oned.hosts if host.findtext("ID") == "3"), CLAIM)
    assert live.others(0) == 3, "a claim that only the template holds proves nothing"


@pytest.mark.parametrize(
    ("recorded", "source", "told"),
    [
        ("vm.active", 7, ("vm.migrate", 14, 3, True, True, -1, 0)),
        ("vm.suspended", 2, ("vm.migrate", 14, 3, False, True, -1, 0)),
        ("vm.active", 6, None),
        ("vm.stopped", 2, None),
    ],
)
def test_only_a_vm_that_still_stands_there_is_moved(
    live: Effects, oned: Oned, recorded: str, source: int, told: object
) -> None:
    """Effects where it runs, cold where it does not, enforced always, and never from where it is not."""
    oned.vms = [recorded]
    assert live.migrate(14, source, 3) is (told is not None)
    assert oned.told == ([told] if told else [])


EFFECTS: list[Callable[[Effects], object]] = [
    lambda live: live.see(6),
    lambda live: live.others(6),
    lambda live: live.write(6, None),
    lambda live: live.disable(6),
    lambda live: live.offline(6),
    lambda live: live.enable(6),
    lambda live: live.migrate(14, 7, 3),
]


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_oned_that_fails_is_one_kind_of_failure(
    live: Effects, oned: Oned, effect: Callable[[Effects], object]
) -> None:
    """An exception that nobody expects would end the round, and keep the other hosts waiting for ever."""
    oned.fails = TimedOut("one.host.info: no answer after 30 s")
    with pytest.raises(Failed, match="no answer after 30 s"):
        effect(live)


def test_a_pool_that_is_cut_is_a_failure_and_no_empty_host(
    live: Effects, oned: Oned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a list of VMs would show a host without VMs."""
    monkeypatch.setattr(stream, "pool", lambda *_, **__: iter([b"<VM><HID>6</HID>"]))
    with pytest.raises(Failed):
        live.see(6, whole=True)


def test_a_vm_that_is_gone_is_not_moved(live: Effects, oned: Oned) -> None:
    """Its deletion would end the whole drain."""
    oned.fails = NotFound("one.vm.info: no such VM")
    assert not live.migrate(14, 7, 3)


def test_a_host_without_an_entry_is_silent_and_takes_no_order(live: Effects) -> None:
    """Its address would be guessed."""
    assert live.ask_bmc(3).state is Bmc.SILENT
    assert "no entry" in live.switch_bmc(3, "off-hard")
    assert live.proves_off(3)


def test_the_kill_switch_is_read_each_time_and_the_clock_grows(live: Effects) -> None:
    """A stop would take effect only with the next worker."""
    assert live.stopped()
    before = clock()
    assert live.monotonic() >= before
