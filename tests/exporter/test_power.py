"""Power: what pages say, rounds within their budget, and nothing that is not known."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metric_families import POWER
from exporter.power.readings import Implausible, NotPower, Reading, read
from exporter.power.rounds import Host, Rounds, pause
from exporter.power.samples import samples
from onext.settings.exporter import Power
from tests.exporter.monitoring import pages
from tests.misbehaving import MISBEHAVIOURS, servers
from tests.waiting import PATIENCE, until

SCAPHANDRE = """\
# TYPE scaph_host_power_microwatts gauge
scaph_host_power_microwatts 48710291
scaph_host_energy_microjoules 238562910345
scaph_process_power_consumption_microwatts{exe="qemu-kvm-one",cmdline="/usr/bin/qemu-kvm-one-nameguest=one-42,debug-threads=on-S",pid="1"} 125986
scaph_process_power_consumption_microwatts{pid="2",exe="qemu-system-x86_64",vmname="one-7",cmdline="-nameguest=one-7,x"} 2104411
scaph_process_power_consumption_microwatts{exe="bash",cmdline="bash-nameguest=one-9,",pid="3"} 5
scaph_process_power_consumption_microwatts{exe="qemu-kvm-one",cmdline="-nameguest=other-8,",pid="4"} 5
scaph_process_power_consumption_microwatts{exe="qemu-kvm-one",cmdline="-nameguest=one-10,",pid="5"} NaN
scaph_process_power_consumption_microwatts{exe="qemu-kvm-one",cmdline="-nameguest=one-11,",pid="6"} -1
scaph_process_power_consumption_microwatts{exe="qemu-kvm-one",cmdline="-nameguest=one-12,",pid="7"} rubbish
"""
KEPLER = """\
kepler_node_cpu_watts{zone="package",path="0"} 31.25
kepler_node_cpu_watts{zone="package",path="1"} 10
kepler_node_cpu_watts{zone="core"} 22.5
kepler_node_cpu_joules_total{zone="package"} 901234.5
kepler_vm_cpu_watts{vm_name="one-524",hypervisor="kvm",zone="package"} 4.75
kepler_vm_cpu_watts{vm_name="one-524",zone="core"} 3.5
"""


def test_scaphandre() -> None:
    """Both forms in which it names a guest; what is no figure of a guest is left out, never 0."""
    reading = read("scaphandre", SCAPHANDRE.encode())
    assert reading.watts == pytest.approx(48.710291)
    assert reading.joules == pytest.approx(238562.910345)
    assert reading.vms == {42: pytest.approx(0.125986), 7: pytest.approx(2.104411)}


def test_kepler() -> None:
    """Packages are added up; cores are a part of them and would count twice."""
    reading = read("kepler", KEPLER.encode())
    assert (reading.watts, reading.joules, reading.vms) == (41.25, 901234.5, {524: 4.75})


@pytest.mark.parametrize("name", ["scaphandre", "kepler"])
def test_the_pages_of_their_documentation(shared: Path, name: str) -> None:
    """Order of labels and odd details as those projects write them."""
    page = (shared / f"data/power-pages/{name}.txt").read_bytes()
    reading = read(name, page)  # type: ignore[arg-type]  # one of the two
    assert reading.vms.keys() == ({524, 52, 7} if name == "scaphandre" else {524})
    assert reading.watts


@given(st.text())
def test_rubbish_is_no_power(text: str) -> None:
    """A page that says nothing of the host is an error, not a host without power."""
    with pytest.raises(NotPower):
        read("scaphandre", text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "watts", ["0", "302345000000", "18446744073709551615", "4294967295", "-5", "3000000001"]
)
def test_D1_implausible_watts_are_absent(watts: str) -> None:
    """0 W teaches power that an idle host is free, and 302 kW is a whole room in every sum."""
    page = SCAPHANDRE.replace("scaph_host_power_microwatts 48710291", f"scaph_host_power_microwatts {watts}")
    with pytest.raises(Implausible, match="are plausible"):
        read("scaphandre", page.encode(), 3000.0)
    with pytest.raises(Implausible):
        read("kepler", KEPLER.replace("31.25", "302345").encode(), 3000.0)


def test_D1_the_bound_is_the_settings() -> None:
    """A machine of eight sockets takes more power than most: its administrator sets the limit."""
    page = SCAPHANDRE.replace("48710291", "3500000000").encode()
    assert read("scaphandre", page, 4000.0).watts == 3500
    assert Power(highest_watts=4000).highest_watts == 4000


def test_D1_a_vm_takes_no_more_than_its_host() -> None:
    """A counter that wrapped for one process must not be billed to its owner; the others stay."""
    page = SCAPHANDRE.replace("} 2104411", "} 60000000000")
    reading = read("scaphandre", page.encode(), 3000.0)
    assert reading.vms == {42: pytest.approx(0.125986)}
    assert reading.dropped == 2  # and the negative one
    assert reading.watts == pytest.approx(48.710291)


@pytest.mark.process
def test_D1_implausible_is_counted_named_and_the_next_source_asked(caplog: pytest.LogCaptureFixture) -> None:
    """An administrator learns which host's exporter is wrong, and Kepler serves where Scaphandre cannot."""
    now = [1000.0]
    answers = {"scaphandre": "scaph_host_power_microwatts 0\n", "kepler": KEPLER}
    turn = iter(["scaphandre", "kepler", "scaphandre", "scaphandre"])
    with pages(lambda _address, _path: answers[next(turn)]) as port:
        some = rounds(port, lambda: now[0], sources=["scaphandre", "kepler"])
        found = some.gather({3: "127.0.0.1"})
        text = samples(found, {}).render(POWER).decode()
        assert 'opennebula_power_implausible_total{one_host_id="3",source="scaphandre"} 1\n' in text
        assert 'opennebula_power_source_up{one_host_id="3",source="scaphandre"} 0\n' in text
        assert "power_watts" not in text
        assert "scaphandre of host 127.0.0.1" in caplog.text
        assert "0 W" in caplog.text
        now[0] += 10  # no back-off: it answers, and at once
        text = samples(some.gather({3: "127.0.0.1"}), {}).render(POWER).decode()
        assert 'opennebula_host_power_watts{one_host_id="3",source="kepler"} 41.25\n' in text
        assert 'opennebula_power_implausible_total{one_host_id="3",source="scaphandre"} 1\n' in text


HOSTILE_LINES = [
    "scaph_process_power{" + "one-" + "a" * 65_000,
    "scaph_host_power_microwatts{" + "a" * 65_000 + "} 1",
    "scaph_process_power{one-=" + 'x="' * 20_000,
    'scaph_process_power{a="one-' + "\\" * 65_000,
    "scaph_host_x" + " " * 65_000 + "x",
    "kepler_node_x{" + "} " * 32_000,
    'kepler_node_x{a="1",' + " " * 65_000,
    "kepler_node_" + "x" * 65_000,
    "kepler_node_x " + "9" * 65_000,
]


def parse_hostile() -> None:
    """Read pages of lines that a pattern with two ways to match needs hours for."""
    for line in HOSTILE_LINES:
        with contextlib.suppress(NotPower):
            read("scaphandre", "\n".join([line] * 60).encode())


@pytest.mark.process
def test_S6_hostile_lines_cost_what_their_length_is() -> None:
    """One hypervisor's page froze the exporter for a minute, with the interpreter's lock held."""
    child = multiprocessing.get_context("spawn").Process(target=parse_hostile)
    child.start()
    child.join(60)  # a tenth of a second, where a word of 64 KB cost 28 s
    alive = child.is_alive()
    child.kill()
    child.join()
    assert not alive
    assert child.exitcode == 0


@given(st.text(alphabet='ab_{}=",\\ \n1.e#-', max_size=200))
def test_S6_whatever_a_page_holds_the_rest_is_read(text: str) -> None:
    """One odd line must not hide the host's figure behind it."""
    page = "scaph_process_power{one-" + text.replace("\n", "") + "\nscaph_host_power_microwatts 48710291\n"
    assert read("scaphandre", page.encode()).watts == pytest.approx(48.710291)


def rounds(port: int, clock: Callable[[], float] = time.monotonic, **settings: object) -> Rounds:
    patient = {"budget": 30.0, "connect_timeout": 30.0, "read_timeout": 30.0}  # for a busy machine
    given = {"scaphandre_port": port, "kepler_port": port, "sources": ["scaphandre"], **patient, **settings}
    return Rounds(Power.model_validate(given), clock)


def at_rest(host: Host) -> bool:
    return not host.busy


def hosts(number: int) -> dict[int, str]:
    return {n: f"127.0.{n // 250}.{n % 250 + 1}" for n in range(number)}


@pytest.mark.process
def test_sixty_dead_of_two_hundred_stay_inside_the_budget() -> None:
    """Dead hosts, one after the other with 2 s each, made the reference's scrape take minutes."""
    asked: list[str] = []
    over = threading.Event()

    def page(address: str, _path: str) -> str | None:
        asked.append(address)
        if int(address.rpartition(".")[2]) <= 60 and address.startswith("127.0.0."):
            over.wait()  # for ever: a round that waited for them would never end
        return SCAPHANDRE

    try:
        with pages(page) as port:
            some = rounds(port, budget=2.5, read_timeout=2.0, threads=32)
            first = some.gather(hosts(200))
            up = {number for number, host in first.items() if host.reading}
            assert not up & set(range(60))
            until(lambda: some.errors > 0, "a dead host's count")
            assert max(asked.count(address) for address in set(asked)) == 1
    finally:
        over.set()


@pytest.mark.process
def test_dead_hosts_are_left_alone_and_come_back() -> None:
    """A host that is dead costs its time-out once, and is found again when it is back."""
    now = [1000.0]
    alive = [False]
    asked: list[str] = []

    def page(address: str, _path: str) -> str:
        asked.append(address)
        return SCAPHANDRE if alive[0] else "no figures"

    with pages(page) as port:
        some = rounds(port, lambda: now[0], back_off=60)
        for wait in (0, 10, 40):
            now[0] += wait
            assert some.gather(hosts(1))[0].reading is None
        assert len(asked) == 1
        alive[0] = True
        now[0] += 60
        assert some.gather(hosts(1))[0].reading is not None
        assert len(asked) == 2


@pytest.mark.process
def test_too_little_time_proves_nothing_once() -> None:
    """A live host that came last in a full round must not be left alone for a minute; one that does so again is."""
    now = [1000.0]
    over = threading.Event()

    def page(_address: str, _path: str) -> str:
        over.wait(PATIENCE)
        return SCAPHANDRE

    with pages(page) as port:
        some = rounds(port, lambda: now[0], budget=2.0, read_timeout=30.0)
        for expected in (0, 1):
            host = some.gather(hosts(1))[0]
            until(partial(at_rest, host), "the end of a request")
            assert (host.reading, host.failures) == (None, expected)
            now[0] += 10
        over.set()


@pytest.mark.process
def test_never_faster_than_scaphandre_can() -> None:
    """Asked every 2 s or faster it freezes: a second scrape shares the first one's figures."""
    now = [1000.0]
    asked: list[str] = []

    def page(address: str, _path: str) -> str:
        asked.append(address)
        return SCAPHANDRE

    with pages(page) as port:
        some = rounds(port, lambda: now[0], interval=5)
        for wait in (0, 1, 3):
            now[0] += wait
            assert some.gather(hosts(1))[0].reading is not None
        assert len(asked) == 1
        now[0] += 2
        some.gather(hosts(1))
        assert len(asked) == 2


@pytest.mark.process
def test_the_source_is_the_one_that_answers() -> None:
    """A host with Kepler is found without a setting for each host, one request for each round."""
    now = [1000.0]
    with pages(lambda _address, _path: KEPLER) as port:
        some = rounds(port, lambda: now[0], sources=["scaphandre", "kepler"])
        found = some.gather(hosts(1))[0]
        assert found.tried == {"scaphandre": False}
        now[0] += 10
        found = some.gather(hosts(1))[0]
        assert found.reading
        assert found.reading.source == "kepler"
        assert found.tried == {"kepler": True}


@pytest.mark.process
@pytest.mark.parametrize("way", MISBEHAVIOURS)
def test_B6_a_source_that_misbehaves_is_down_and_the_next_is_asked(way: str) -> None:
    """Its errors were lost: never counted, no back-off, Kepler never asked, and `power_source_up` stayed 1."""
    behave, _ = MISBEHAVIOURS[way]
    now = [1000.0]
    with servers() as serve, pages(lambda _address, _path: KEPLER) as good:
        bad = int(serve(behave).rpartition(":")[2].partition("/")[0])
        settings = {"scaphandre_port": bad, "kepler_port": good, "sources": ["scaphandre", "kepler"]}
        some = rounds(0, lambda: now[0], **settings, read_timeout=0.7)
        found = some.gather({3: "127.0.0.1"})
        assert some.errors == 1
        text = samples(found, {}).render(POWER).decode()
        assert 'opennebula_power_source_up{one_host_id="3",source="scaphandre"} 0\n' in text
        now[0] += 10
        text = samples(some.gather({3: "127.0.0.1"}), {}).render(POWER).decode()
        assert 'opennebula_power_source_up{one_host_id="3",source="kepler"} 1\n' in text
        assert 'opennebula_host_power_watts{one_host_id="3",source="kepler"} 41.25\n' in text


@pytest.mark.process
def test_B6_a_source_that_stops_answering_is_down() -> None:
    """It answered before: what is served must not be the memory of that."""
    now, healthy = [1000.0], [True]

    def page(_address: str, _path: str) -> str | None:
        return SCAPHANDRE if healthy[0] else None

    with pages(page) as port:
        some = rounds(port, lambda: now[0], read_timeout=0.7)
        up = 'opennebula_power_source_up{one_host_id="0",source="scaphandre"} %d\n'
        assert up % 1 in samples(some.gather(hosts(1)), {}).render(POWER).decode()
        healthy[0] = False
        now[0] += 10
        text = samples(some.gather(hosts(1)), {}).render(POWER).decode()
        assert up % 0 in text
        assert "watts" not in text
        assert some.errors == 1


@pytest.mark.process
@pytest.mark.parametrize(
    "name", ["a/b", "a@169.254.169.254", "a?b", "a b", "", "ä", "x" * 300, "a#b", "a\nb"]
)
def test_names_that_are_no_address_are_not_asked(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A host's name is not always one of DNS, and must not choose another path, port or machine."""
    some = rounds(1)
    assert some.gather({3: name})[3].reading is None
    assert some.errors == 1
    assert "neither a DNS name nor an address" in caplog.text


def test_E6_back_off_grows_and_ends_growing() -> None:
    """A host that was taken out of its rack would be asked each minute for years, or never again."""
    two = Power(sources=["scaphandre", "kepler"], back_off=60)
    assert [pause(failures, two) for failures in range(1, 7)] == [0, 60, 0, 120, 0, 180]
    one = Power(sources=["kepler"], back_off=60)
    assert [pause(failures, one) for failures in (1, 2, 16, 17, 1000)] == [60, 120, 960, 960, 960]


@pytest.mark.process
def test_E6_a_dead_host_is_asked_after_its_back_off(caplog: pytest.LogCaptureFixture) -> None:
    """The pause has to be kept between rounds, not only computed; and one line in the log is enough."""
    now = [1000.0]
    asked: list[float] = []

    def page(_address: str, _path: str) -> str:
        asked.append(now[0])
        return "nothing of power"

    with pages(page) as port:
        some = rounds(port, lambda: now[0], back_off=60)
        for _ in range(60):
            some.gather(hosts(1))
            now[0] += 10
    assert asked == [1000.0, 1060.0, 1180.0, 1360.0]  # 60, 120, 180 s after one another, 240 not over
    assert len(caplog.records) == 1


@pytest.mark.process
@pytest.mark.parametrize("what", ["endless", "gigabyte", "silence", "text"])
def test_a_source_that_misbehaves_is_named_and_bounded(what: str) -> None:
    """A page that never ends, or of 1 GB, must cost neither memory nor the scrape; unknown is no sample."""
    end = threading.Event()
    with unruly(what, end) as port:
        some = rounds(port, read_timeout=0.5)
        found = some.gather({3: "127.0.0.1"})
        assert found[3].reading is None
        end.set()
    until(lambda: "scaphandre" in found[3].tried, "the end of a request")
    text = samples(found, {42: 3}).render(POWER).decode()
    assert 'opennebula_power_source_up{one_host_id="3",source="scaphandre"} 0' in text
    assert "watts{" not in text


@contextmanager
def unruly(what: str, end: threading.Event) -> Iterator[int]:
    """Answer one request badly, until `end`; the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                misbehave(connection)
        except OSError:
            return  # the client has left

    def misbehave(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\n"
        match what:
            case "text":
                connection.sendall(head + b"Content-Length: 5\r\n\r\nhello")
            case "gigabyte":
                connection.sendall(head + b"Content-Length: 1073741824\r\n\r\n")
                while not end.is_set():
                    connection.sendall(b"scaph_x 1\n" * 6000)
            case "endless":
                connection.sendall(head + b"\r\n")
                while not end.wait(0.05):
                    connection.sendall(b"scaph_x 1\n")
            case _:
                end.wait(20)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    end.set()
    listener.close()
    thread.join(5)


def test_power_is_off_where_no_source_is_named() -> None:
    """Who has neither must not have every host asked on a port of somebody else."""
    assert rounds(1, sources=[]).gather(hosts(3)) == {}


def test_a_vm_counts_on_its_own_host_only() -> None:
    """During a migration both hosts have a process; and a host must not speak for guests of others."""
    from exporter.power.readings import Reading

    reading = Reading("scaphandre", 50.0, 7.5, {42: 1.5, 43: 2.0})
    found = samples({3: Host("a", reading=reading, tried={"scaphandre": True})}, {42: 3, 43: 4})
    text = found.render(POWER).decode()
    assert 'opennebula_vm_power_watts{one_vm_id="42"} 1.5\n' in text
    assert 'opennebula_vm_power_consumption_uW{one_vm_id="42"} 1500000\n' in text
    assert 'one_vm_id="43"' not in text
    assert 'opennebula_host_power_watts{one_host_id="3",source="scaphandre"} 50.0\n' in text
    assert 'opennebula_host_energy_joules_total{one_host_id="3",source="scaphandre"} 7.5\n' in text


def _labelled(number: int) -> str:
    labels = ",".join(f'label{one}="1"' for one in range(number))
    return f"scaph_host_power_microwatts{{{labels}}} 5000000"


@pytest.mark.parametrize(
    ("line", "watts"),
    [
        ("scaph_host_power_microwatts 3000000000", 3000),  # at the bound
        ('scaph_host_power_microwatts{a="1", b="2",} 5000000 1700000000', 5),
        ("scaph_host_power_microwatts{} 5000000", 5),
        ("scaph_host_power_microwatts\t5000000", 5),
        ("scaph_host_power_microwatts " + "0" * 41 + "5000000", 5),
        ("scaph_host_power_microwatts " + "0" * 42 + "5000000", None),  # longer than any number
        ("scaph_host_power_microwatts{}5000000", None),
        ("scaph_host_power_microwatts", None),
        ("scaph_host_power_microwatts{a=1} 5000000", None),
        ('scaph_host_power_microwatts{a="1" 5000000', None),
        (_labelled(64), 5),
        (_labelled(65), None),
        ("scaph_host_power_microwatts 5000000".ljust(65_536), 5),
        ("scaph_host_power_microwatts 5000000".ljust(65_537), None),
    ],
)
def test_lines_of_the_text_format(line: str, watts: float | None) -> None:
    """A good line that is not read leaves a host without power, a bad one that is read gives it a wrong one."""
    page = f"{line}\nscaph_host_energy_microjoules 7000000\n"
    reading = read("scaphandre", page.encode(), 3000.0)
    assert (reading.watts, reading.joules) == (watts, 7)


@pytest.mark.parametrize(
    ("joules", "kept"), [("0", 0), ("1e21", 1e15), ("1.1e21", None), ("-1", None), ("1000000", 1)]
)
def test_D1_joules_that_cannot_be_are_absent(joules: str, kept: float | None) -> None:
    """A counter of a machine that runs for a thousand years, or backwards, spoils every sum."""
    page = f"scaph_host_power_microwatts 1000000\nscaph_host_energy_microjoules {joules}\n"
    assert read("scaphandre", page.encode()).joules == kept


@pytest.mark.parametrize(("watts", "kept"), [(0, True), (111, True), (111.5, False), (-0.5, False)])
def test_D1_how_much_a_vm_may_take(watts: float, kept: bool) -> None:
    """A tenth and a watt more than its host: both are measured over slightly different times."""
    page = (
        "scaph_host_power_microwatts 100000000\n"
        f'scaph_process_power_consumption_microwatts{{exe="qemu",vmname="one-5"}} {watts * 1e6:.0f}\n'
    )
    reading = read("scaphandre", page.encode())
    assert (reading.vms, reading.dropped) == (({5: watts}, 0) if kept else ({}, 1))


def test_D1_without_the_hosts_watts_the_bound_counts_for_a_vm() -> None:
    """Joules alone are no reason to believe every figure."""
    vms = [
        f'scaph_process_power_consumption_microwatts{{exe="qemu",vmname="one-{n}"}} {n}000000000\n'
        for n in (3, 4)
    ]
    page = "scaph_host_energy_microjoules 1\n" + "".join(vms)
    reading = read("scaphandre", page.encode(), 3000.0)
    assert (reading.vms, reading.dropped) == ({3: 3000}, 1)


def test_what_one_vm_takes_in_several_processes_is_one_sum() -> None:
    """Twice the same series would make Prometheus refuse the page."""
    line = 'scaph_process_power_consumption_microwatts{exe="qemu",vmname="one-5"} 2000000\n'
    assert read("scaphandre", ("scaph_host_power_microwatts 9000000\n" + line * 2).encode()).vms == {5: 4}
    kepler = (
        KEPLER
        + 'kepler_vm_cpu_watts{vm_name="one-524",zone="package"} 1\nkepler_node_cpu_joules_total{zone="package"} 1\n'
    )
    reading = read("kepler", kepler.encode())
    assert (reading.vms, reading.joules) == ({524: 5.75}, 901235.5)


def test_a_vm_counts_where_it_is_in_opennebula() -> None:
    """In a migration both hosts measure it: twice the same series, or a bill of a host's rounding."""
    reading = Reading("kepler", 41.1234567, 7.1234567, {5: 4.75, 6: 1.0, 7: 1.23456789})
    host = Host("node-a1", reading=reading, tried={"scaphandre": False, "kepler": True})
    text = samples({3: host}, {5: 3, 6: 4, 7: 3}).render(POWER).decode()
    assert 'opennebula_host_power_watts{one_host_id="3",source="kepler"} 41.123457\n' in text
    assert 'opennebula_host_energy_joules_total{one_host_id="3",source="kepler"} 7.123457\n' in text
    assert 'opennebula_vm_power_watts{one_vm_id="7"} 1.234568\n' in text
    assert 'opennebula_vm_power_consumption_uW{one_vm_id="5"} 4750000\n' in text
    assert 'one_vm_id="6"' not in text
    assert 'opennebula_power_source_up{one_host_id="3",source="scaphandre"} 0\n' in text
    assert 'opennebula_power_source_up{one_host_id="3",source="kepler"} 1\n' in text
    assert 'opennebula_power_implausible_total{one_host_id="3",source="kepler"} 0\n' in text
