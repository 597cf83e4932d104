"""onext-migrate.conf and kvmrc, as an administrator writes them."""

from pathlib import Path

import pytest

from drivers.vmm.migrate.onext_migrate import last_settings, settings
from drivers.vmm.migrate.onext_migrate.errors import BadInputError
from drivers.vmm.migrate.onext_migrate.virsh_options import Wishes

SHIPPED = Path(__file__).parents[4] / "drivers/vmm/migrate/onext-migrate.conf"


def test_the_shipped_file_says_the_defaults() -> None:
    """A file whose comments say other defaults than the program has misleads everybody."""
    shown = [
        line.lstrip("#")
        for line in SHIPPED.read_text().splitlines()
        if line.startswith("#") and "=" in line and " " not in line.split("=")[0]
    ]
    read = settings.parse("\n".join(shown))
    assert read == settings.Settings()
    assert len(shown) == len(settings.Settings._fields)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('TUNNEL="sometimes"', "one of always, between-clusters, never"),
        ('REQUIRE_TUNNEL="maybe"', "YES or NO"),
        ('REQUIRE_TUNEL="YES"', "not a setting"),
        ('DEAD_TUNNEL="0"', "not an integer from 3"),
        ('KERNEL_PORT="99999"', "not an integer from 1 to 65535"),
        ('TUNNEL_EXCEPTIONS="a=never"', "HOST,HOST=always"),
        ("TUNNEL", "line 1: expected KEY"),
        ('REQUIRE_ENCRYPTION="sure"', "YES or NO"),
        ('REQUIRE_ENCRYPTION="YES"\nDATAPATH="ovs"', "ovs does not encrypt"),
        ('REQUIRE_ENCRYPTION="YES"\nDATAPATH="kernel"', "kernel does not encrypt"),
        ('WIREGUARD_PORT="65529"', "not an integer from 1 to 65528"),
        ('TUNNEL="always', "line 1: expected KEY"),
        ('BANDWIDTH="$(id)"', "not an integer"),
    ],
)
def test_wrong_values(line: str, why: str) -> None:
    """A typing error in a rule must stop a migration, not loosen the rule."""
    with pytest.raises(BadInputError, match=why):
        settings.parse(line)


def test_require_implies_refuse() -> None:
    """REQUIRE_TUNNEL with the default ON_TUNNEL_FAILURE would otherwise migrate in the clear."""
    assert settings.parse('REQUIRE_TUNNEL="YES"').refuse
    assert settings.parse('ON_TUNNEL_FAILURE="refuse"').refuse
    assert not settings.Settings().refuse
    assert settings.parse('REQUIRE_ENCRYPTION="YES"').guarded
    assert settings.parse('REQUIRE_ENCRYPTION="YES"\nDATAPATH="ovs"\nTLS="YES"').encrypt
    assert not settings.Settings().guarded


def test_options_for_slow_lines() -> None:
    """What the administrator asked for reaches virsh."""
    asked = settings.parse('AUTO_CONVERGE="YES"\nBANDWIDTH="50"\nPARALLEL="4"\nTLS="YES"')
    assert settings.wishes(asked) == Wishes(auto_converge=True, bandwidth=50, parallel=4, tls=True)
    assert settings.wishes(settings.parse('POSTCOPY_AFTER="30"')) == Wishes(postcopy=True)


def test_A1_parallel_and_postcopy_are_rejected() -> None:
    """QEMU loses the VM: gone from both hosts in 4 of 4 tries, and virsh reports success."""
    with pytest.raises(BadInputError, match="PARALLEL and POSTCOPY_AFTER together lose the VM"):
        settings.parse('PARALLEL="2"\nPOSTCOPY_AFTER="1"\nBANDWIDTH="10"')


@pytest.mark.parametrize(
    ("present", "seconds"), [("", 30), ("--unsafe", 30), ("--timeout 5 --unsafe", 0), ("--timeout=5", 0)]
)
def test_when_post_copy_begins(present: str, seconds: int) -> None:
    """A VM that changes its memory faster than the line takes it would never arrive."""
    asked = settings.parse('POSTCOPY_AFTER="30"')
    assert settings.postcopy_after(asked, present) == seconds
    assert settings.postcopy_after(settings.Settings(), present) == 0


def test_kvmrc_is_read_as_opennebula_reads_it(tmp_path: Path) -> None:
    """The node's own options are merged, so they must be seen."""
    (tmp_path / "kvmrc").write_text(
        'export LANG=C\n#MIGRATE_OPTIONS=--no\nMIGRATE_OPTIONS="--unsafe --compressed"\nfoo bar\n'
    )
    assert settings.kvmrc(str(tmp_path)) == {"LANG": "C", "MIGRATE_OPTIONS": "--unsafe --compressed"}


def test_nothing_there(tmp_path: Path) -> None:
    """A node without our files has the defaults."""
    assert settings.load(str(tmp_path)) == settings.Settings()
    assert settings.clusters(str(tmp_path)) == {}


def test_E2_invalid_settings_leave_the_last_valid_ones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`TUNEL="never"` stopped every migration on all nodes."""
    conf, locks = tmp_path / "onext-migrate.conf", tmp_path / "locks"
    conf.write_text('TUNNEL="between-clusters"\nREQUIRE_TUNNEL="YES"\n')
    valid = last_settings.load(str(tmp_path), str(locks))
    conf.write_text('TUNEL="never"\n')
    assert last_settings.load(str(tmp_path), str(locks)) == valid
    assert "ERROR: migrate: onext-migrate.conf: TUNEL is not a setting" in capfd.readouterr().err
    conf.write_text('TUNNEL="never"\n')
    assert last_settings.load(str(tmp_path), str(locks)).tunnel == "never"


def test_E2_settings_that_were_never_valid_stop_a_migration(tmp_path: Path) -> None:
    """Nothing tells what was meant, and it may have been that a tunnel is required."""
    (tmp_path / "onext-migrate.conf").write_text('REQUIRE_TUNEL="YES"\n')
    with pytest.raises(BadInputError, match="REQUIRE_TUNEL"):
        last_settings.load(str(tmp_path), str(tmp_path / "locks"))


def test_files_without_an_end_are_not_read(tmp_path: Path) -> None:
    """A file that grew by mistake must not fill the node's memory."""
    (tmp_path / "onext-migrate.conf").write_text("#" * (settings.LONGEST + 1))
    with pytest.raises(BadInputError, match="longer than"):
        settings.load(str(tmp_path))


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [
        ("KERNEL_PORT", 1, 65535),
        ("OVS_PORT", 1, 65535),
        ("WIREGUARD_PORT", 1, 65528),
        ("NO_PROGRESS", 5, 86400),
        ("DEAD_TUNNEL", 3, 3600),
        ("BANDWIDTH", 0, 1000000),
        ("PARALLEL", 0, 64),
        ("POSTCOPY_AFTER", 0, 86400),
    ],
)
def test_the_range_of_each_number(key: str, least: int, most: int) -> None:
    """A limit that is lower ends good migrations, a higher one leaves dead ones hanging: as documented."""
    for number in (least, most):
        assert number in settings.parse(f'{key}="{number}"')
    for number in (least - 1, most + 1):
        with pytest.raises(BadInputError, match=f"{key}=.*: not an integer from {least} to {most}"):
            settings.parse(f'{key}="{number}"')


def test_values_in_words() -> None:
    """What is accepted is what was written: a pair of hosts turned round would let another VM go in clear."""
    read = settings.parse(
        'TUNNEL_EXCEPTIONS="a,b*=always c.x,*=never"\nSCRIPTS_REMOTE_DIR="/srv/one"\nTLS="yes"\nREQUIRE_TUNNEL="no"'
    )
    assert read.exceptions == (("a", "b*", "always"), ("c.x", "*", "never"))
    assert (read.remotes, read.tls, read.require) == ("/srv/one", True, False)
    with pytest.raises(BadInputError, match="an absolute path is expected"):
        settings.parse('SCRIPTS_REMOTE_DIR="srv"')


def test_the_map_of_clusters(tmp_path: Path) -> None:
    """A line that is no pair must not put a host into a cluster that it is not in."""
    (tmp_path / "onext-clusters.conf").write_text(
        "# HOST ID\nnode-a 100\nnode-b 101 # new\nnode-c\nx y z\n\n"
    )
    assert settings.clusters(str(tmp_path)) == {"node-a": "100", "node-b": "101"}


def test_a_file_of_the_greatest_length_is_read(tmp_path: Path) -> None:
    """The map of the largest cloud."""
    (tmp_path / "onext-migrate.conf").write_text("#" * settings.LONGEST)
    assert settings.load(str(tmp_path)) == settings.Settings()


def test_the_wrong_line_is_named() -> None:
    """In a file of forty lines of comments it is not found otherwise."""
    with pytest.raises(BadInputError, match=r"onext-migrate\.conf, line 3: expected KEY"):
        settings.parse('\nTLS="YES"\nTLS YES\n')
