"""What follows from OpenNebula's own files: made anew when they change, seen by --check, taken back."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from onext.install import configure, installation
from onext.install.check import everything
from onext.install.front_end import FrontEnd, InstallError
from onext.paths import Paths

from .conftest import tree, write

pytestmark = pytest.mark.process

SCRAPED = "scrape_configs:\n- job_name: opennebula_exporter\n  static_configs:\n  - targets: ['{}']\n"
RULES = "groups:\n- name: A\n  rules:\n  - {{alert: InstanceDown, expr: up == 0}}\n  - {{alert: {}, expr: x == 1}}\n"
PROMTOOL = (
    '#!/bin/sh\necho checked >>{log}\ngrep -q refused "$3" && {{ echo no such word >&2; exit 1; }}\nexit 0\n'
)


class Machine:
    """A packaged front-end with OpenNebula's Prometheus, a systemctl and a promtool that are stand-ins."""

    def __init__(self, front_end: FrontEnd, root: Path, log: Path) -> None:
        self.front_end, self.root, self.log = front_end, root, log
        self.prometheus = root / "etc/one/prometheus/prometheus.yml"
        self.rules = root / "etc/one/prometheus/rules.yml"
        self.unit = root / "etc/systemd/system/onext-exporter.service"
        self.stock = root / "etc/one/onext/prometheus/stock.rules.yml"
        write(self.prometheus, "rule_files:\n- rules.yml\n" + SCRAPED.format("127.0.0.2:9925"))
        write(self.rules, RULES.format("Mine"))
        write(
            root / "etc/one/oned.conf", 'AUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "ssh" ]\n', 0o640
        )

    def complaints(self) -> list[str]:
        """Return what --check says of files and of prometheus.yml."""
        found = everything(self.front_end, "")
        return [
            f"{c.message}; {c.remedy}"
            for c in found
            if c.name in ("files", "prometheus.yml") and c.level != "ok"
        ]


@pytest.fixture
def machine(
    tmp_path: Path,
    make_home: Callable[[FrontEnd, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Machine:
    from onext.install import manifest, selfcheck

    from .conftest import ME, packaged

    root, log = tmp_path / "root", tmp_path / "log"
    packaged(root)
    log.touch()
    write(tmp_path / "path/systemctl", f'#!/bin/sh\necho "$*" >>{log}\n', 0o755)
    write(tmp_path / "path/promtool", PROMTOOL.format(log=log), 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    monkeypatch.setenv("ONE_XMLRPC", "http://127.0.0.1:1/RPC2")
    for name in ("before", "after"):
        monkeypatch.setattr(selfcheck, name, lambda *_: None)
    front_end = FrontEnd.packaged(root, code=ME, service=ME)
    monkeypatch.setattr(Paths, "find", lambda: front_end.paths)
    manifest.make_folder(front_end.paths.lib)
    made = Machine(front_end, root, log)
    installation.install(front_end, make_home(front_end, "1"))
    return made


def test_the_exporter_s_unit_names_the_address_that_is_scraped(machine: Machine) -> None:
    """Whoever looks for where it listens, and from whom it has that, finds both in the unit."""
    assert "Environment=ONEXT_EXPORTER_LISTEN=127.0.0.2:9925\n" in machine.unit.read_text()
    assert configure.configure(machine.front_end, yes=True) == 0
    assert "Environment=ONEXT_EXPORTER_LISTEN=127.0.0.2:9925\n" in machine.unit.read_text()
    assert machine.complaints() == []


def test_an_address_that_changes_is_seen_and_followed(machine: Machine) -> None:
    """OpenNebula's patch script may name another address later: the exporter would be down for Prometheus."""
    configure.configure(machine.front_end, yes=True)
    machine.prometheus.write_text(machine.prometheus.read_text().replace("127.0.0.2", "127.0.0.3"))
    units = (machine.unit.with_name("onext-worker.service"), machine.unit)
    assert machine.complaints() == [
        f"{unit}: not what follows from {machine.prometheus} now; ./install.sh --configure" for unit in units
    ]
    machine.log.write_text("")
    configure.configure(machine.front_end, yes=True)
    assert "LISTEN=127.0.0.3:9925\n" in machine.unit.read_text()
    assert machine.log.read_text().splitlines() == [
        "daemon-reload",
        "try-restart onext-worker.service onext-exporter.service onext-gateway.service onext-edge-endpoint.service onext-edge-hub.service",
    ]
    assert machine.complaints() == []


def test_rules_of_an_upgrade_are_taken_over(machine: Machine) -> None:
    """A package upgrade renews rules.yml: alerts that are new in it would be missed for ever."""
    configure.configure(machine.front_end, yes=True)
    assert "Mine" in machine.stock.read_text()
    machine.rules.write_text(RULES.format("NewInThisVersion"))
    assert machine.complaints() == [
        f"{machine.stock}: not what follows from {machine.rules} now; ./install.sh --configure"
    ]
    configure.configure(machine.front_end, yes=True)
    text = machine.stock.read_text()
    assert "NewInThisVersion" in text
    assert "InstanceDown" not in text
    assert machine.complaints() == []


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    """Whoever runs it again restarts nothing and rewrites nothing."""
    configure.configure(machine.front_end, yes=True)
    before = tree(machine.root)
    machine.log.write_text("")
    assert configure.configure(machine.front_end, yes=True) == 0
    assert tree(machine.root) == before
    assert machine.log.read_text() == ""


def test_rules_that_are_none_are_named(machine: Machine) -> None:
    """--check tells of a broken rules.yml, and goes on with the rest."""
    machine.rules.write_text("no rules")
    assert [c for c in machine.complaints() if "holds no rules" in c]
    assert "hooks" in {check.name for check in everything(machine.front_end, "")}


def test_what_promtool_refuses_is_not_written(machine: Machine) -> None:
    """A configuration that Prometheus cannot load stops all monitoring at its next start."""
    before = machine.prometheus.read_text() + "# refused\n"
    machine.prometheus.write_text(before)
    with pytest.raises(InstallError, match=r"prometheus\.yml is not changed: .*no such word"):
        configure.configure(machine.front_end, yes=True)
    assert machine.prometheus.read_text() == before
    assert not list(machine.prometheus.parent.glob(".onext-*"))


def test_all_of_it_is_taken_back(machine: Machine, tmp_path: Path) -> None:
    """After an uninstall Prometheus loads OpenNebula's rules and asks OpenNebula's exporter again."""
    before = machine.prometheus.read_text()
    configure.configure(machine.front_end, yes=True)
    installation.uninstall(machine.front_end, tmp_path / "backup.tar.gz")
    assert machine.prometheus.read_text() == before
    assert not machine.unit.exists()
    assert not machine.stock.exists()
    assert machine.rules.read_text() == RULES.format("Mine")


def test_targets_that_prometheus_cannot_read_are_named(machine: Machine) -> None:
    """Prometheus scrapes nothing, without a message, where it may not read its files."""
    write(machine.front_end.paths.settings, "targets: {prometheus_user: nobody-of-that-name}\n", 0o640)
    (found,) = [check for check in everything(machine.front_end, "") if check.name == "targets"]
    assert (found.level, "no user nobody-of-that-name here" in found.message) == ("warn", True)


def test_an_upgrade_of_opennebula_below_an_installation_is_named_and_repaired(machine: Machine) -> None:
    """A package upgrade replaces the remotes and patches prometheus.yml again: hooks and tunnels would be lost unseen."""
    front_end, home = machine.front_end, machine.front_end.paths.current.resolve()
    configure.configure(front_end, yes=True)
    remotes, before = front_end.paths.remotes, machine.prometheus.read_text()
    shutil.rmtree(remotes / "hooks/onext")
    shutil.rmtree(remotes / "vmm/kvm/onext_migrate")
    (remotes / "vmm/kvm/migrate").write_text("#!/bin/sh\n# of 7.4.0\n")
    (remotes / "VERSION").write_text("7.4.0\n")
    wanted = YAML(typ="safe").load(before)
    document = YAML(typ="safe").load(before)
    stock = YAML(typ="safe").load(SCRAPED.format("127.0.0.2:9925"))["scrape_configs"]
    kept = [job for job in document["scrape_configs"] if job["job_name"] != "opennebula_exporter"]
    document |= {"scrape_configs": [*stock, *kept], "rule_files": ["rules.yml", *document["rule_files"]]}
    with machine.prometheus.open("w") as file:
        YAML().dump(document, file)  # as patch_datasources.rb: without comments
    found = {f"{check.name}: {check.message}" for check in everything(front_end, "") if check.level != "ok"}
    for part in (
        "hooks/onext: missing",
        "onext_migrate: missing",
        "kvm/migrate: OpenNebula's own; it becomes",
    ):
        assert [line for line in found if part in line], part
    assert [line for line in found if line.startswith("prometheus.yml: ")]
    installation.install(front_end, home)
    configure.configure(front_end, yes=True)
    assert machine.complaints() == []
    assert (remotes / "vmm/kvm/migrate_default").read_text() == "#!/bin/sh\n# of 7.4.0\n"
    assert "onext" in (remotes / "vmm/kvm/migrate").read_text()
    repaired = YAML(typ="safe").load(machine.prometheus.read_text())
    assert sorted(repaired.pop("scrape_configs"), key=str) == sorted(wanted.pop("scrape_configs"), key=str)
    assert repaired == wanted
    installation.uninstall(front_end, machine.root.parent / "backup.tar.gz")
    assert (remotes / "vmm/kvm/migrate").read_text() == "#!/bin/sh\n# of 7.4.0\n"
    assert "onext" not in machine.prometheus.read_text()
