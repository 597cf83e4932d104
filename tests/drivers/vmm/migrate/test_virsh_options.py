"""What VM, kvmrc and our settings ask of one `virsh migrate`, merged into a command that works."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import virsh_options
from drivers.vmm.migrate.onext_migrate.errors import BadInputError
from drivers.vmm.migrate.onext_migrate.virsh_options import Command, Tunnel, Wishes

TUNNEL = Tunnel("tcp://[fe80::1%oxt]", "fe80::1%oxt", "node-b")
ENDS = "--migrateuri tcp://[fe80::1%oxt] --listen-address fe80::1%oxt"
URI = "one-1 qemu+ssh://node-b/system"


def merge(words: str, kvmrc: str = "", wishes: Wishes = Wishes()) -> Command:  # noqa: B008 (a tuple)
    """Merge a command line that is written as one."""
    return virsh_options.merge(words.split(), kvmrc, wishes, TUNNEL)


@pytest.mark.parametrize(
    ("words", "kvmrc", "expected"),
    [
        (f"--live {URI}", "", f"--live {ENDS} {URI}"),
        (
            f"--live --unsafe --migrateuri tcp://x --listen-address=0 {URI}",
            "--unsafe --migrateuri tcp://x --listen-address=0",
            f"--live --unsafe {ENDS} {URI}",
        ),
        (
            f"--live --suspend {URI} --copy-storage-all --migrate-disks vda,vdb",
            "",
            f"--live --suspend --copy-storage-all --migrate-disks vda,vdb {ENDS} {URI}",
        ),
    ],
)
def test_the_tunnel_is_in_the_command(words: str, kvmrc: str, expected: str) -> None:
    """A --migrateuri in kvmrc led around the tunnel."""
    assert " ".join(merge(words, kvmrc).words) == expected


def test_a_word_with_a_blank_stays_one() -> None:
    """A path in --xml, a name: what virsh gets is what OpenNebula's script gave."""
    words = ["--live", "--xml", "/a b", "a b", "u"]
    assert virsh_options.merge(words, "", Wishes(), TUNNEL).words[1:3] == ["--xml", "/a b"]
    assert virsh_options.positional(words) == ["a b", "u"]


def test_B3_the_vm_wins_over_kvmrc_and_kvmrc_over_the_settings() -> None:
    """AUTO_CONVERGE, kvmrc and the VM's own option meet in one command: "option already seen", exit code 1."""
    kvmrc = "--auto-converge --auto-converge-initial 10 --bandwidth=7"
    words = f"--live {kvmrc} --auto-converge --auto-converge-initial 30 --auto-converge-increment 5 {URI}"
    found = merge(words, kvmrc, Wishes(auto_converge=True, bandwidth=50))
    assert found.words.count("--auto-converge") == 1
    assert found.words[found.words.index("--auto-converge-initial") + 1] == "30"
    assert found.words[found.words.index("--bandwidth") + 1] == "7"
    assert any("--auto-converge-initial 10 of kvmrc gives way" in note for note in found.notes)


def test_B3_postcopy_gives_way_to_local_disks() -> None:
    """OpenNebula adds --suspend for them: with POSTCOPY_AFTER every such migration failed."""
    local = f"--live --suspend {URI} --copy-storage-all --migrate-disks vda"
    ours = merge(local, "", Wishes(postcopy=True))
    assert "--postcopy" not in ours.names
    assert ours.notes == ["--postcopy of onext-migrate.conf is dropped: it excludes --suspend of OpenNebula"]
    theirs = merge(f"--live --postcopy --timeout 3 --timeout-postcopy {local[7:]}", "--postcopy --timeout 3")
    assert not {"--postcopy", "--timeout-postcopy"} & theirs.names
    assert "--suspend" in theirs.names


def test_B3_tunnelled_gives_way_to_the_tunnel() -> None:
    """With `--p2p --tunnelled` in kvmrc every migration failed: libvirt refuses --migrateuri beside it."""
    found = merge(f"--live --p2p --tunnelled --unsafe {URI}", "--p2p --tunnelled --unsafe")
    assert found.names >= {"--live", "--unsafe", "--migrateuri"}
    assert not {"--p2p", "--tunnelled"} & found.names
    assert any("not encrypted" in note for note in found.notes)
    assert not any("not encrypted" in note for note in merge(f"--p2p --tunnelled --tls {URI}").notes)


def test_A1_what_kvmrc_alone_asks_for_and_loses_vms_is_refused() -> None:
    """The destination's QEMU aborts on an assertion, and virsh reports success."""
    kvmrc = "--parallel --parallel-connections 2 --postcopy"
    with pytest.raises(BadInputError, match="--parallel and --postcopy lose the VM"):
        merge(f"--live {kvmrc} {URI}", kvmrc)


@pytest.mark.parametrize(
    ("kvmrc", "wishes", "lost"),
    [
        ("--postcopy", Wishes(parallel=2), "--parallel"),
        ("--parallel --parallel-connections 2", Wishes(postcopy=True), "--postcopy"),
    ],
)
def test_A1_our_own_option_gives_way(kvmrc: str, wishes: Wishes, lost: str) -> None:
    """Half of the pair from either side loses the VM just the same."""
    found = merge(f"--live {kvmrc} {URI}", kvmrc, wishes)
    assert lost not in found.names
    assert "--parallel-connections" not in found.names or lost != "--parallel"
    assert found.notes[0].startswith(f"{lost} of onext-migrate.conf is dropped")


def test_A1_what_a_vm_asks_for_is_dropped_with_a_line() -> None:
    """A tenant's option must not end the administrator's migrations."""
    found = merge(f"--live --parallel --compressed {URI}", "--parallel")
    assert "--compressed" not in found.names
    assert found.notes == ["--compressed of the VM is dropped: it excludes --parallel of kvmrc"]


@pytest.mark.parametrize("given", ["--tls", ""])
def test_tls_names_the_real_host(given: str) -> None:
    """The stream goes to a link-local address; the certificate bears the host's name."""
    words = merge(f"--live {given} {URI}", given, Wishes(tls=not given)).words
    assert words[words.index("--tls-destination") + 1] == "node-b"
    assert words.count("--tls") == 1
    assert "--tls-destination" not in merge(f"--live --tls-destination x {URI}").names


OPTIONS = [
    ["--postcopy"],
    ["--parallel"],
    ["--parallel-connections", "2"],
    ["--compressed"],
    ["--comp-methods", "xbzrle"],
    ["--auto-converge"],
    ["--bandwidth", "5"],
    ["--tls"],
    ["--unsafe"],
    ["--p2p"],
    ["--tunnelled"],
    ["--timeout", "3"],
]
ASKED = st.lists(st.sampled_from(OPTIONS), max_size=8)


@given(
    ASKED,
    ASKED,
    st.booleans(),
    st.builds(Wishes, st.booleans(), st.integers(0, 9), st.integers(0, 4), st.booleans(), st.booleans()),
)
def test_A1_B3_no_command_has_what_excludes_each_other(
    kvmrc: list[list[str]], vm: list[list[str]], local: bool, wishes: Wishes
) -> None:
    """Whatever meets in a command: no option twice, no pair that fails, the tunnel in it, domain and URI last."""
    of_kvmrc = [word for option in kvmrc for word in option]
    words = ["--live", *of_kvmrc, *itertools.chain(*vm), *(["--suspend"] if local else []), *URI.split()]
    try:
        found = virsh_options.merge(words, " ".join(of_kvmrc), wishes, TUNNEL)
    except BadInputError:
        assert {"--parallel", "--postcopy"} <= set(of_kvmrc)
        return
    options = [word for word in found.words if word.startswith("--")]
    assert len(options) == len(set(options))
    assert set(options) == found.names | ({"--tls-destination"} if "--tls" in found.names else set())
    for pair in ({"--parallel", "--postcopy"}, {"--suspend", "--postcopy"}, {"--tunnelled", "--migrateuri"}):
        assert not pair <= found.names
    assert {"--live", "--migrateuri", "--listen-address"} <= found.names
    assert found.words[-2:] == URI.split()
