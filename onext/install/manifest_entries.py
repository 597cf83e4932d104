"""The content of an installation: a list that is read, compared and carried out.

A pure function of the front-end and of the version's folder; docs/installing.md has it as a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from onext import events, published
from onext.install import render
from onext.install.front_end import FrontEnd, Owner
from onext.install.prometheus_yml import else_listens

PROGRAM, READABLE, SHARED = 0o755, 0o644, 0o640
_COMPLETIONS = {  # of each shell, where Debian's and others' packages put theirs
    "onext": "usr/share/bash-completion/completions/onext",
    "onext.fish": "usr/share/fish/vendor_completions.d/onext.fish",
    "_onext": "usr/share/zsh/vendor-completions/_onext",
}


@dataclass(frozen=True)
class Folder:
    """A folder of onext; `wholly`: its content belongs to onext too, whichever process writes it."""

    path: Path
    mode: int
    owner: Owner
    wholly: bool = True


@dataclass(frozen=True)
class File:
    """A file of onext.

    `keep` leaves it as a person changed it, `grows` as we wrote on while we ran. `aside` is the name
    under which the existing file is kept: OpenNebula's own migrate. `made_of` is a file of
    OpenNebula's or an administrator's from which the content follows: `--configure` makes it anew, too.
    """

    path: Path
    mode: int
    owner: Owner
    content: bytes
    keep: bool = False
    grows: bool = False
    aside: Path | None = None
    made_of: Path | None = None


Entry = Folder | File


def wanted(front_end: FrontEnd, home: Path) -> list[Entry]:
    """Return what belongs on this front-end by the version in `home`, folders before what is in them.

    What is below a folder that another account may change belongs to that account: it could replace it
    anyway, and root then has nothing to do there. Raises InstallError for an unsafe path.
    """
    entries = _entries(front_end, home)
    files, owners = front_end.files, dict[Path, Owner | None]()
    for entry in entries:
        if entry.path.parent not in owners:
            owners[entry.path.parent] = files.controller(entry.path)
    return [replace(entry, owner=owners[entry.path.parent] or entry.owner) for entry in entries]


def _entries(front_end: FrontEnd, home: Path) -> list[Entry]:
    parts = home / "parts"
    return [
        *_folders(front_end),
        *_own(front_end, home),
        *_hooks(front_end, home, parts / "hooks"),
        *_biscuit(front_end, home, parts / "drivers/auth/biscuit/authenticate"),
        *_migrate(front_end, parts / "drivers/vmm/migrate"),
        *_probes(front_end, parts / "hooks/availability/probes"),
        *_prometheus(front_end, parts),
        *_system(front_end, parts),
        *_manual(front_end, home / "manual"),
    ]


def parts_with_hooks(hooks: Path) -> list[str]:
    """Return the names of the parts that are whole: with a `part.py` for the worker."""
    return sorted(path.parent.name for path in hooks.glob("*/part.py"))


def _folders(front_end: FrontEnd) -> Iterator[Folder]:
    paths, service = front_end.paths, front_end.service
    yield Folder(paths.own_etc, 0o750, front_end.shared)
    yield Folder(paths.var, 0o755, service)
    for spooled in ("", "incoming", "taken", "refused"):
        yield Folder(paths.spool / spooled, 0o750, service)
    for path in (paths.state, paths.stopped):
        yield Folder(path, 0o750, service)
    yield Folder(published.folder(paths), 0o755, service)  # below `state`: the gateway's unit alone sees it
    for path in (paths.targets, paths.run, paths.metrics):  # Prometheus and the exporter read them
        yield Folder(path, 0o755, service)


def _own(front_end: FrontEnd, home: Path) -> Iterator[File]:
    paths = front_end.paths
    yield File(paths.bin / "onext", PROGRAM, front_end.code, render.command(paths))
    yield File(paths.settings, SHARED, front_end.shared, render.settings(home), keep=True)
    yield File(paths.log, SHARED, front_end.service, b"", grows=True)
    # `onext biscuit revoke` adds to it as oneadmin, over ssh on the other servers too.
    yield File(paths.own_etc / "biscuit-revoked", SHARED, front_end.service, b"", keep=True)


def _hooks(front_end: FrontEnd, home: Path, hooks: Path) -> Iterator[Entry]:
    folder = front_end.paths.remotes / "hooks/onext"
    yield Folder(folder, 0o755, front_end.shared)
    if not (hooks / "hook").is_file():
        return
    content = render.hook((hooks / "hook").read_text(), home, front_end)
    for name in (Path(events.COMMAND).name, *events.FORMER):
        yield File(folder / name, PROGRAM, front_end.shared, content)


def _biscuit(front_end: FrontEnd, home: Path, driver: Path) -> Iterator[Entry]:
    if not driver.is_file():
        return
    folder = front_end.paths.remotes / "auth/biscuit"
    content = render.biscuit(driver.read_text(), home, front_end.paths)
    yield Folder(folder, 0o755, front_end.shared)
    yield File(folder / "authenticate", PROGRAM, front_end.shared, content)


def _migrate(front_end: FrontEnd, driver: Path) -> Iterator[Entry]:
    """Place the driver where KVM's are, its package beside it, its settings below remotes/etc."""
    remotes = front_end.paths.remotes
    kvm = remotes / "vmm/kvm"
    stock, aside = kvm / "migrate", kvm / "migrate_default"
    if not (driver / "migrate").is_file() or not any(map(front_end.files.inspect, (stock, aside))):
        return
    yield from _tree(driver / "onext_migrate", kvm / "onext_migrate", front_end.shared)
    if (driver / "onext-migrate.conf").is_file():
        settings = remotes / "etc/vmm/kvm/onext-migrate.conf"
        yield File(
            settings, READABLE, front_end.service, (driver / "onext-migrate.conf").read_bytes(), keep=True
        )
    hosts = remotes / "etc/vmm/kvm/onext-clusters.conf"  # `onext tunnel sync` writes it
    yield File(hosts, READABLE, front_end.service, b"", grows=True)
    for probe in sorted((driver / "probe").glob("*.sh")):
        place = remotes / "im/kvm-probes.d/host/system" / probe.name
        yield File(place, PROGRAM, front_end.shared, probe.read_bytes())
    content = (driver / "migrate").read_bytes()
    yield File(stock, PROGRAM, front_end.shared, content, aside=aside)


def _probes(front_end: FrontEnd, probes: Path) -> Iterator[Entry]:
    """Place availability's monitoring probes; `onehost sync` brings them to the nodes."""
    host = front_end.paths.remotes / "im/kvm-probes.d/host"
    for name, folder in (("onext_heartbeat.sh", "beacon"), ("onext_boot_id.sh", "system")):
        if (probes / name).is_file():
            yield File(host / folder / name, PROGRAM, front_end.shared, (probes / name).read_bytes())


def _prometheus(front_end: FrontEnd, parts: Path) -> Iterator[Entry]:
    """Place the rules that `--configure` names in prometheus.yml; OpenNebula's Prometheus is oneadmin's."""
    ours = parts / "exporter/rules/onext.rules.yml"
    if not ours.is_file() or not (parts / "hooks/targets/part.py").is_file():
        return
    folder = front_end.paths.own_etc / "prometheus"
    yield Folder(folder, 0o750, front_end.shared)
    yield File(folder / ours.name, SHARED, front_end.shared, ours.read_bytes())
    stock = front_end.paths.etc / "prometheus/rules.yml"
    found = front_end.files.inspect(stock)
    if found is not None and found.kind == "file":
        content = render.stock_rules(stock, front_end.files.read(stock))
        yield File(folder / "stock.rules.yml", SHARED, front_end.shared, content, made_of=stock)


def _tree(source: Path, target: Path, owner: Owner) -> Iterator[Entry]:
    yield Folder(target, 0o755, owner)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if "__pycache__" in path.parts:
            continue
        if path.is_dir():
            yield Folder(place, 0o755, owner)
        else:
            mode = PROGRAM if path.stat().st_mode & 0o100 else READABLE
            yield File(place, mode, owner, path.read_bytes())


def _system(front_end: FrontEnd, parts: Path) -> Iterator[File]:
    """Place what the machine itself reads: units, log rotation, folders of /run. Packaged only."""
    system = front_end.system
    if system is None:
        return
    grafana, dashboards = (
        system / "etc/grafana/provisioning/dashboards",
        parts / "exporter/dashboards/onext.yaml",
    )
    if grafana.is_dir() and dashboards.is_file():
        content = render.fill(dashboards.read_text(), front_end.paths)
        yield File(grafana / "onext.yaml", READABLE, front_end.code, content)
    if front_end.systemd:
        yield from _units(front_end, system / "etc/systemd/system", parts)
    snippets = [("etc/logrotate.d", "onext", "logrotate.conf")]
    if front_end.systemd:
        snippets.append(("etc/tmpfiles.d", "onext.conf", "tmpfiles.conf"))
    for folder, name, source in snippets:
        if (system / folder).is_dir():
            content = render.fill(render.own(source), front_end.paths)
            yield File(system / folder / name, READABLE, front_end.code, content)


def _manual(front_end: FrontEnd, manual: Path) -> Iterator[File]:
    """Place man pages and completion where the machine's programs look for them. Packaged only."""
    if front_end.system is None:
        return
    pages = {f"usr/share/man/man1/{page.name}": page for page in sorted((manual / "man1").glob("*.1"))}
    completions = {target: manual / "completions" / name for name, target in _COMPLETIONS.items()}
    for target, source in {**pages, **completions}.items():
        place = front_end.system / target
        if place.parent.is_dir() and source.is_file():
            yield File(place, READABLE, front_end.code, source.read_bytes())


def _units(front_end: FrontEnd, folder: Path, parts: Path) -> Iterator[File]:
    """Place the units; they state where the exporter listens unless the settings do."""
    prometheus = front_end.paths.etc / "prometheus/prometheus.yml"
    listen = else_listens(prometheus, front_end).replace("%", "%%")  # systemd's own specifiers begin so
    found = sorted(
        unit for part in ("exporter", "gateway", "hooks/edge") for unit in parts.glob(f"{part}/*.service")
    )
    units = {unit.name: unit.read_text() for unit in found}
    for name, text in {"onext-worker.service": render.own("onext-worker.service"), **units}.items():
        content = render.fill(text.replace("@LISTEN@", listen), front_end.paths)
        yield File(folder / name, READABLE, front_end.code, content, made_of=prometheus)
