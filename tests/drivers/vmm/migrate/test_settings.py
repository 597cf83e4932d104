"""onext-migrate.conf and kvmrc, as an administrator writes them."""

from pathlib import Path

import pytest

from drivers.vmm.migrate.onext_migrate import settings
from drivers.vmm.migrate.onext_migrate.errors import BadInputError

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
        ('REQUIRE_TUNEL="YES"', "no setting"),
        ('DEAD_TUNNEL="0"', "whole number from 3"),
        ('KERNEL_PORT="99999"', "whole number from 1 to 65535"),
        ('TUNNEL_EXCEPTIONS="a=never"', "HOST,HOST=always"),
        ("TUNNEL", "line 1: expected KEY"),
        ('TUNNEL="always', "line 1: expected KEY"),
        ('BANDWIDTH="$(id)"', "whole number"),
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


def test_options_for_slow_lines() -> None:
    """What the administrator asked for reaches virsh."""
    asked = settings.parse('AUTO_CONVERGE="YES"\nBANDWIDTH="50"\nPARALLEL="4"\nPOSTCOPY_AFTER="30"')
    words = settings.virsh_options(asked, "node-b", "")
    assert " ".join(words) == "--auto-converge --bandwidth 50 --parallel --parallel-connections 4 --postcopy"


@pytest.mark.parametrize(("present", "seconds"), [("", 30), ("--unsafe", 30), ("--timeout 5 --unsafe", 0)])
def test_when_post_copy_begins(present: str, seconds: int) -> None:
    """A guest that changes its memory faster than the line takes it would never arrive."""
    asked = settings.parse('POSTCOPY_AFTER="30"')
    assert settings.postcopy_after(asked, present) == seconds
    assert settings.postcopy_after(settings.Settings(), present) == 0


def test_kvmrc_wins_and_nothing_is_said_twice() -> None:
    """An option that virsh sees twice is an error."""
    asked = settings.parse('AUTO_CONVERGE="YES"\nBANDWIDTH="50"')
    assert settings.virsh_options(asked, "node-b", "--auto-converge --bandwidth=10") == []


@pytest.mark.parametrize("present", ["", "--tls"])
def test_tls_names_the_real_host(present: str) -> None:
    """The stream goes to a link-local address; the certificate bears the host's name."""
    words = settings.virsh_options(settings.parse('TLS="YES"'), "node-b", present)
    assert words[-2:] == ["--tls-destination", "node-b"]
    assert ("--tls" in words) == (not present)


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
