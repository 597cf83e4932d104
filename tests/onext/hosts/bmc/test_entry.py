"""One entry of bmc.yaml: which values it takes, at each limit, and which machines two entries may not share."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from onext.hosts.bmc.entry import Entry, Redfish

ENTRIES: TypeAdapter[dict[int, Entry]] = TypeAdapter(dict[int, Entry])
LOGIN = {"address": "192.0.2.12", "user": "onext", "password": "secret", "serial": "ABC1234"}
BASE: dict[str, dict[str, Any]] = {
    "ipmi": {"kind": "ipmi", **LOGIN},
    "redfish": {"kind": "redfish", **LOGIN},
    "suspend": {"kind": "suspend", "address": "192.0.2.14", "mac": "02:00:00:00:00:0e", "interface": "eth1"},
    "agent": {"kind": "agent", "agent": "fence_apc_snmp"},
}
PIN = "0f" * 32


def made(kind: str, **changes: Any) -> Entry:
    values = {**BASE[kind], **changes}
    wanted = {key: value for key, value in values.items() if value != "absent"}
    return ENTRIES.validate_python({7: wanted})[7]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        *((kind, {"port": port}) for kind in ("ipmi", "redfish", "suspend") for port in (1, 65_535)),
        ("ipmi", {"user": "u" * 16, "password": "p" * 20}),
        ("ipmi", {"user": "u", "password": ""}),
        ("redfish", {"user": "u" * 128, "password": "p" * 256}),
        ("ipmi", {"serial": "s" * 128}),
        ("ipmi", {"serial": "absent", "uuid": "4c4c4544-0042-3510-8053-b4c04f564433"}),
        ("ipmi", {"shutdown": "ssh", "host": "node-a"}),
        ("ipmi", {"shutdown": "button"}),
        ("ipmi", {"watts_min": 0.5, "watts_max": 100_000, "watts_off_max": 0}),
        ("ipmi", {"watts_off_max": 10_000}),
        ("redfish", {"certificate": PIN.upper()}),
        ("redfish", {"certificate": ":".join(["0f"] * 32)}),
        ("redfish", {"ca_file": "/etc/ca.pem", "certificate_name": "bmc.example"}),
        ("redfish", {"system": f"/redfish/v1/{'x' * 500}"}),
        ("suspend", {"interface": "a" * 15}),
        ("agent", {"options": {f"key{n}": "v" for n in range(40)}}),
        ("agent", {"options": {"plug": "v" * 512, "ip": 7, "ssl": True}}),
        ("agent", {"password": "p" * 256}),
        ("agent", {"shutdown": "ssh", "host": "node-a", "serial": "ABC"}),
        ("agent", {"agent": "fence_" + "x" * 40}),
    ],
)
def test_what_a_machine_may_have_is_taken(kind: str, changes: dict[str, Any]) -> None:
    """A host whose BMC is at its standard's limit could not be managed."""
    assert made(kind, **changes).kind == kind


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        *((kind, {"port": port}, "port") for kind in ("ipmi", "redfish", "suspend") for port in (0, 65_536)),
        ("ipmi", {"user": "u" * 17}, "at most 16"),
        ("ipmi", {"user": ""}, "at least 1"),
        ("redfish", {"user": ""}, "at least 1"),
        ("ipmi", {"password": "p" * 21}, "at most 20"),
        ("ipmi", {"serial": "absent"}, "uuid or serial is missing"),
        *(
            ("ipmi", {"serial": serial}, "many boards")
            for serial in ("", " 0 ", "None", "0123456789", "Default String")
        ),
        *(
            ("ipmi", {"uuid": uuid}, "many boards")
            for uuid in (
                "00000000-0000-0000-0000-000000000000",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "03000200-0400-0500-0006-000700080009",
            )
        ),
        ("ipmi", {"watts_min": 0}, "greater than 0"),
        ("ipmi", {"watts_off_max": -1}, "greater than or equal to 0"),
        ("ipmi", {"watts_min": 5, "watts_max": 5}, "watts_min must be less"),
        ("ipmi", {"watts_max": 100_001}, "less than or equal"),
        ("ipmi", {"shutdown": "ssh"}, "needs `host`"),
        ("redfish", {"certificate": PIN[:-2]}, "pattern"),
        ("redfish", {"certificate": PIN + "0f"}, "pattern"),
        ("redfish", {"certificate": PIN, "ca_file": "/etc/ca.pem"}, "do not count beside"),
        ("redfish", {"certificate": PIN, "certificate_name": "bmc.example"}, "do not count beside"),
        ("redfish", {"ca_file": "ca.pem"}, "absolute path"),
        ("suspend", {"interface": "a" * 16}, "pattern"),
        ("suspend", {"mac": "02:00:00:00:00"}, "pattern"),
        ("agent", {"options": {f"key{n}": "v" for n in range(41)}}, "at most 40"),
        ("agent", {"options": {"plug": "v" * 513}}, "at most 512"),
        ("agent", {"options": {"plug": "a\nb"}}, "one line"),
        ("agent", {"password": "a\nb"}, "one line"),
        *(
            ("agent", {"options": {name: "1"}}, "set by onext")
            for name in ("power-timeout", "action", "debug_file")
        ),
        ("agent", {"shutdown": "ssh", "host": "node-a"}, "needs `host`, and `uuid` or `serial`"),
        ("agent", {"shutdown": "ssh", "serial": "ABC"}, "needs `host`, and `uuid` or `serial`"),
        ("agent", {"agent": "fence_" + "x" * 41}, "pattern"),
    ],
)
def test_what_cannot_be_right_is_refused(kind: str, changes: dict[str, Any], said: str) -> None:
    """It would be found on the night when a host has to be fenced."""
    with pytest.raises(ValidationError, match=said):
        made(kind, **changes)


@pytest.mark.parametrize(
    ("kind", "changes", "same"),
    [
        ("ipmi", {"user": "another", "serial": "XYZ"}, True),
        ("ipmi", {"port": 624}, False),
        ("ipmi", {"address": "192.0.2.13"}, False),
        ("redfish", {"system": "/redfish/v1/Systems/2"}, False),
        ("redfish", {"port": 444}, False),
        ("redfish", {"certificate": PIN}, True),
        ("suspend", {"port": 2222}, True),
        ("suspend", {"address": "192.0.2.15"}, False),
        ("agent", {"options": {"plug": "7"}}, False),
        ("agent", {"password": "another"}, True),
    ],
)
def test_what_names_the_same_machine(kind: str, changes: dict[str, Any], same: bool) -> None:
    """An order for one host would switch another one, or two machines of one BMC not be told apart."""
    assert (made(kind).place == made(kind, **changes).place) is same


def test_defaults_are_those_of_the_standards() -> None:
    """An administrator would have to write ports and limits for each host."""
    ports = [getattr(made(kind), "port", None) for kind in ("ipmi", "redfish", "suspend")]
    assert ports == [623, 443, 22]
    entry = made("redfish", certificate=":".join(["0F"] * 32))
    assert isinstance(entry, Redfish)
    assert (entry.pin, entry.tls, entry.shutdown) == (PIN, "modern", "auto")
    assert (entry.watts_min, entry.watts_max, entry.watts_off_max) == (2.0, 20_000.0, 60.0)
