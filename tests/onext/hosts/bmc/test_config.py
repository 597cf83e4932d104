"""bmc.yaml: who may read it, and what is said when it is wrong."""

import os
import re
import traceback
from pathlib import Path

import pytest

from onext.hosts.bmc import config as bmc_yaml
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.entry import Agent, Ipmi, Redfish
from onext.hosts.bmc.errors import ConfigChanged, ConfigError, NotConfigured, UnsafeFile
from onext.hosts.bmc.protocol import Power

SECRET = "s3cret"
UUID = "4c4c4544-0042-3510-8053-b4c04f564433"
LOGIN = f"  user: onext\n  password: {SECRET}\n"
GOOD = f"12:\n  kind: ipmi\n  address: 192.0.2.12\n{LOGIN}  uuid: {UUID}\n"


def written(folder: Path, text: str = GOOD, mode: int = 0o640) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bmc.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_entries_are_read_with_what_is_usual(tmp_path: Path) -> None:
    """An administrator would have to write ports and empty keys for every host."""
    text = GOOD + f"13:\n  kind: redfish\n  address: 2001:db8::13\n{LOGIN}  serial: ABC1234\n"
    book = BmcConfig.load(written(tmp_path, text))
    ipmi, redfish = book.entries[12], book.entries[13]
    assert isinstance(ipmi, Ipmi)
    assert isinstance(redfish, Redfish)
    assert (ipmi.port, redfish.port, redfish.pin) == (623, 443, None)
    assert 12 in book
    assert 14 not in book


def test_no_file_means_no_bmc(tmp_path: Path) -> None:
    """A cloud without BMCs could not use anything else of the part."""
    book = BmcConfig.load(tmp_path / "bmc.yaml")
    with pytest.raises(NotConfigured, match=r"host 12 has no entry in .*bmc\.yaml"):
        book.bmc(12)


def test_a_book_that_is_printed_shows_no_password(tmp_path: Path) -> None:
    """A password in a log or traceback is a password lost."""
    book = BmcConfig.load(written(tmp_path))
    assert SECRET not in f"{book!r} {book} {book.entries[12]} {book.bmc(12)!r}"


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641, 0o650, 0o666])
def test_a_wider_mode_is_refused(tmp_path: Path, mode: int) -> None:
    """Any user of the front-end could switch hosts off, or have a password sent to an address of his."""
    with pytest.raises(UnsafeFile, match="wider than 0640: chmod 0640"):
        BmcConfig.load(written(tmp_path, mode=mode))


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o400])
def test_a_narrower_mode_is_taken(tmp_path: Path, mode: int) -> None:
    """Who protects the file better would be punished."""
    assert 12 in BmcConfig.load(written(tmp_path, mode=mode))


def test_a_stranger_s_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the file decides which addresses get passwords, whatever its mode."""
    file = written(tmp_path)
    found = file.stat()
    stranger = os.stat_result((*found[:4], 4242, *found[5:]))
    monkeypatch.setattr(os, "fstat", lambda _: stranger)
    with pytest.raises(UnsafeFile, match="belongs to user 4242: chown root:oneadmin"):
        BmcConfig.load(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe put there would hang the worker."""
    os.mkfifo(tmp_path / "bmc.yaml", mode=0o640)
    with pytest.raises(UnsafeFile):
        BmcConfig.load(tmp_path / "bmc.yaml")


def test_below_remotes_is_refused_also_behind_a_link(tmp_path: Path) -> None:
    """`onehost sync` would copy the passwords to every node."""
    file = written(tmp_path / "remotes/etc")
    (tmp_path / "bmc.yaml").symlink_to(file)
    for named in (file, tmp_path / "bmc.yaml"):
        with pytest.raises(UnsafeFile, match="copied to every node"):
            BmcConfig.load(named)


IPMI = f"12:\n  kind: ipmi\n  address: 192.0.2.12\n{LOGIN}"
REDFISH = f"12:\n  kind: redfish\n  address: 192.0.2.12\n{LOGIN}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (IPMI, r":1: 12: uuid or serial is missing: `dmidecode"),
        (IPMI + "  uuid: 00000000-0000-0000-0000-000000000000\n", r":6: 12.uuid: many boards have this"),
        (IPMI + "  serial: To be filled by O.E.M.\n", r":6: 12.serial: many boards have this"),
        (IPMI + f"  uuid: {UUID}\n  pasword: {SECRET}\n", r":7: 12.pasword: unknown key"),
        (IPMI.replace("192.0.2.12", "bmc12.example"), r":3: 12.address: value is not a valid IPv4"),
        (IPMI.replace(SECRET, f"{SECRET}-that-is-too-long"), r":5: 12.password: .*at most 20"),
        (IPMI.replace(SECRET, "12345"), r":5: 12.password: text was expected: put it in quotes"),
        (IPMI.replace("kind: ipmi", f"kind: {SECRET}"), r":1: 12: kind: ipmi, redfish, suspend or agent"),
        (IPMI.replace("  kind: ipmi\n", ""), r":1: 12: kind: ipmi, redfish, suspend or agent"),
        (REDFISH + f"  serial: a1\n  certificate: {SECRET}\n", r":7: 12.certificate: String should match"),
        (REDFISH + "  serial: a1\n  system: //elsewhere/\n", r":7: 12.system: String should match"),
        (GOOD.replace("12:", "twelve:"), r":1: twelve: Input should be a valid integer"),
        (GOOD.replace(SECRET, f"*{SECRET}"), r":5: not YAML: .*\(a password with special characters"),
        (GOOD.replace(SECRET, f"%{SECRET}"), r":5: not YAML"),
        (GOOD + f"  password: {SECRET}\n", r":7: this key appears twice"),
        (GOOD + GOOD.replace("12", "13"), r":7: 13: names the same machine as 12"),
        (GOOD + IPMI.replace("12:", "13:") + "  serial: a1\n", r":7: 13: names the same machine as 12"),
        (f"- {SECRET}\n", r":1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_without_the_secret(
    tmp_path: Path, text: str, said: str
) -> None:
    """Somebody has to find the line, and nobody the password: not even in a traceback."""
    with pytest.raises(ConfigError, match=said) as caught:
        BmcConfig.load(written(tmp_path, text))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    """Fifty entries would be corrected one run at a time."""
    text = GOOD.replace("192.0.2.12", "a") + GOOD.replace("12:", "13:").replace("192.0.2.12", "b")
    with pytest.raises(ConfigError) as caught:
        BmcConfig.load(written(tmp_path, text))
    assert str(caught.value).count(".address: ") == 2


REDFISH_SERIAL = REDFISH + "  serial: a1\n"
AGENT = "12:\n  kind: agent\n  agent: fence_apc_snmp\n  options:\n    ip: 192.0.2.12\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REDFISH_SERIAL + "  tls: old\n", r":7: 12.tls: Input should be 'modern' or 'legacy'"),
        (REDFISH_SERIAL + "  ca_file: ca.pem\n", r":1: 12: ca_file must be an absolute path"),
        (
            REDFISH_SERIAL + f"  ca_file: /ca.pem\n  certificate: {'a' * 64}\n",
            r":1: 12: ca_file and certificate_name",
        ),
        (REDFISH_SERIAL + "  shutdown: ssh\n", r":1: 12: shutdown: ssh needs `host`"),
        (REDFISH_SERIAL + "  host: -oProxyCommand=x\n", r":7: 12.host: String should match"),
        (REDFISH_SERIAL + "  watts_min: 500\n  watts_max: 20\n", r":1: 12: watts_min must be less"),
        (REDFISH_SERIAL + "  watts_max: .nan\n", r":7: 12.watts_max: "),
        (AGENT.replace("fence_apc_snmp", "../../bin/sh"), r":3: 12.agent: String should match"),
        (AGENT + "    action: off\n", r":6: 12.options.action: this option is set by onext"),
        (AGENT + "    password-script: /tmp/x\n", r":6: 12.options.password-script: this option is set"),
        (AGENT + "    debug_file: /tmp/x\n", r":6: 12.options.debug_file: this option is set"),
        (AGENT + "    ipmitool_path: /tmp/x\n", r":6: 12.options.ipmitool_path: this option is set"),
        (AGENT + '    plug: "1\\naction=on"\n', r":1: 12: an option has to be one line"),
        (AGENT + "    plug: [1, 2]\n", r":6: 12.options.plug: text was expected"),
        (AGENT + "    suspend: [1, 2]\n", r":6: 12.options.suspend: text was expected"),
        (AGENT + AGENT.replace("12:", "13:"), r":6: 13: names the same machine as 12"),
    ],
)
def test_settings_of_an_entry_that_cannot_be_used_are_named(tmp_path: Path, text: str, message: str) -> None:
    """A wrong key would be found when a host has to be fenced."""
    with pytest.raises(ConfigError, match=message):
        BmcConfig.load(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "12: 2001-99-99\n",
        "12: \x07\n",
        "[" * 2000,
        f"12: {'9' * 5000}\n",
        "12: !!python/none\n",
        "? [1]\n: 2\n",
    ],
)
def test_S10_no_text_of_the_file_ends_the_worker(tmp_path: Path, text: str) -> None:
    """A worker that ends without a line in the log is started again, and ends again."""
    caught: Exception | None = None
    try:
        BmcConfig.load(written(tmp_path, text))
    except Exception as error:  # noqa: BLE001 - so that the test fails by its assertion
        caught = error
    assert isinstance(caught, ConfigError)
    assert re.search(r"bmc.yaml:\d+: ", str(caught))


def test_an_agent_s_options_are_not_printed(tmp_path: Path) -> None:
    """SNMP's community is a password under another name."""
    config = BmcConfig.load(
        written(tmp_path, AGENT + f"    community: {SECRET}\n    plug: 7\n    ssl: true\n")
    )
    entry = config.entries[12]
    assert isinstance(entry, Agent)
    assert {name: value.get_secret_value() for name, value in entry.options.items()} == {
        "ip": "192.0.2.12",
        "community": SECRET,
        "plug": "7",
        "ssl": "1",
    }
    assert SECRET not in f"{config!r} {entry}"


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (GOOD, False),
        (GOOD + GOOD.replace("12", "13").replace(UUID, UUID.replace("4c", "5c")), False),
        (GOOD.replace("192.0.2.12", "192.0.2.99"), True),
        (GOOD.replace(UUID, UUID.replace("4c", "5c")), True),
        (GOOD.replace(SECRET, "another"), True),
        (GOOD.replace("12:", "13:"), True),
        (GOOD + "  nonsense: 1\n", True),
        ("", True),
    ],
)
def test_S13_an_entry_that_changes_during_an_action_ends_it(
    tmp_path: Path, after: str, changed: bool
) -> None:
    """A host would be fenced by the word of another machine's BMC, which an administrator just corrected."""
    config = BmcConfig.load(written(tmp_path))
    config.unchanged(12)
    written(tmp_path, after)
    bmc = config.bmc(12)
    if not changed:
        config.unchanged(12)
        return
    for order in (bmc.hard_off, bmc.soft_off, bmc.switch_on, bmc.identity):
        with pytest.raises(ConfigChanged, match=r"bmc.yaml.*changed meanwhile"):
            order()
    reading = bmc.power()
    assert reading.power is Power.UNKNOWN
    assert isinstance(reading.failure, ConfigChanged)


def test_S13_a_file_that_is_gone_has_changed(tmp_path: Path) -> None:
    """Nobody would know any more whose BMC it was."""
    config = BmcConfig.load(written(tmp_path))
    (tmp_path / "bmc.yaml").unlink()
    with pytest.raises(ConfigChanged):
        config.unchanged(12)


def test_S13_a_fingerprint_tells_another_machine(tmp_path: Path) -> None:
    """An action of several rounds would go on with another BMC, under the same claim."""
    first = BmcConfig.load(written(tmp_path)).fingerprint(12)
    assert BmcConfig.load(written(tmp_path, GOOD.replace(SECRET, "another"))).fingerprint(12) == first
    for other in (GOOD.replace("192.0.2.12", "192.0.2.99"), GOOD.replace(UUID, UUID.replace("4c", "5c"))):
        assert BmcConfig.load(written(tmp_path, other)).fingerprint(12) != first
    assert BmcConfig(Path("bmc.yaml")).fingerprint(12) == ""


def test_a_file_at_the_limit_of_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large cloud would be refused, or a file without end fill the memory."""
    monkeypatch.setattr(bmc_yaml, "_LARGEST", len(GOOD))
    assert 12 in BmcConfig.load(written(tmp_path, GOOD))
    with pytest.raises(ConfigError, match=f"larger than {len(GOOD)} bytes"):
        BmcConfig.load(written(tmp_path, GOOD + "#"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A link in a circle would end the worker."""
    (tmp_path / "bmc.yaml").symlink_to("bmc.yaml")
    with pytest.raises(ConfigError, match=r"bmc\.yaml: cannot be read: Too many levels"):
        BmcConfig.load(tmp_path / "bmc.yaml")


def test_entries_that_no_file_gave_do_not_change(tmp_path: Path) -> None:
    """A simulation would end at its first order."""
    file = written(tmp_path)
    config = BmcConfig(file, BmcConfig.load(file).entries)
    file.unlink()
    config.unchanged(12)
    empty = BmcConfig.load(file)
    empty.unchanged(12)
    written(tmp_path)
    with pytest.raises(ConfigChanged):
        empty.unchanged(12)


def test_the_kind_of_an_entry_decides_who_switches(tmp_path: Path) -> None:
    """A host without a BMC would be asked for one."""
    suspend = "14:\n  kind: suspend\n  address: 192.0.2.14\n  mac: 02:00:00:00:00:0e\n  interface: eth1\n"
    config = BmcConfig.load(written(tmp_path, GOOD + suspend))
    assert (config.bmc(12).proves_off, config.bmc(14).proves_off) == (True, False)


def test_S13_a_fingerprint_is_short_and_holds_no_secret(tmp_path: Path) -> None:
    """It is written into records that many may read; agents' options may hold passwords."""
    config = BmcConfig.load(written(tmp_path, GOOD + AGENT.replace("12:", "13:")))
    prints = [config.fingerprint(number) for number in (12, 13)]
    assert [len(one) for one in prints] == [16, 16]
    assert prints[0] != prints[1]
    serial = GOOD.replace(f"uuid: {UUID}", "serial: A1")
    found = [
        BmcConfig.load(written(tmp_path, text)).fingerprint(12)
        for text in (serial, serial.replace("A1", "A2"))
    ]
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\n\n" + GOOD.replace("uuid", "uid"), [":8: 12.uid: unknown key"]),
        (GOOD + "13: 7\n", [":7: 13: "]),
        (GOOD + IPMI.replace("12:", "13:") + "  serial: a1\n" + IPMI.replace("12:", "14:") + "  serial: a2\n",
         [":7: 13: names the same machine as 12", ":13: 14: names the same machine as 12"]),
    ],
)  # fmt: skip
def test_each_complaint_names_its_line(tmp_path: Path, text: str, lines: list[str]) -> None:
    """In a file of 10,000 lines nobody finds a key by its name alone."""
    with pytest.raises(ConfigError) as caught:
        BmcConfig.load(written(tmp_path, text))
    found = str(caught.value).splitlines()
    assert all(any(line in one for one in found) for line in lines), found
