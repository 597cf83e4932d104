"""The options of one `virsh migrate`: what the VM, kvmrc and onext-migrate.conf ask for, merged.

A VM's own option wins over kvmrc's, kvmrc's over onext-migrate.conf's. Of two options that exclude
each other the weaker side's is dropped, with a line for the VM's log; a pair that kvmrc alone asks for and
that loses VMs is refused.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from .errors import BadInputError

# virsh(1), migrate: the options that are followed by a value
_VALUED = {
    "--auto-converge-increment",
    "--auto-converge-initial",
    "--bandwidth",
    "--comp-methods",
    "--comp-mt-dthreads",
    "--comp-mt-level",
    "--comp-mt-threads",
    "--comp-xbzrle-cache",
    "--comp-zlib-level",
    "--comp-zstd-level",
    "--desturi",
    "--disks-port",
    "--disks-uri",
    "--dname",
    "--domain",
    "--graphicsuri",
    "--listen-address",
    "--migrate-disks",
    "--migrate-disks-detect-zeroes",
    "--migrateuri",
    "--parallel-connections",
    "--persistent-xml",
    "--postcopy-bandwidth",
    "--timeout",
    "--tls-destination",
    "--xml",
}
_OURS = {"--migrateuri", "--listen-address", "--disks-uri", "--tls-destination"}
# What means nothing, or is refused, without its main option
_DEPENDENTS = {
    "--auto-converge": ("--auto-converge-initial", "--auto-converge-increment"),
    "--compressed": (
        "--comp-methods",
        "--comp-mt-level",
        "--comp-mt-threads",
        "--comp-mt-dthreads",
        "--comp-xbzrle-cache",
        "--comp-zlib-level",
        "--comp-zstd-level",
    ),
    "--parallel": ("--parallel-connections",),
    "--postcopy": ("--postcopy-after-precopy", "--postcopy-bandwidth", "--timeout-postcopy"),
}
# Pairs that fail, or lose the VM: the destination's QEMU aborts on an assertion with the first
_FATAL = (("--parallel", "--postcopy"),)
_EXCLUSIVE = (
    ("--suspend", "--postcopy"),
    ("--copy-storage-all", "--postcopy"),
    ("--compressed", "--parallel"),
)
VM, KVMRC, SETTINGS, OPENNEBULA = "the VM", "kvmrc", "onext-migrate.conf", "OpenNebula"
_STRENGTH = (SETTINGS, VM, KVMRC, OPENNEBULA)  # which side of an exclusive pair is dropped first
_OF_A_VM = {"--auto-converge", "--compressed"}


class Tunnel(NamedTuple):
    """What the tunnel needs in the command."""

    migrate_uri: str
    listen_address: str
    destination: str  # the real host's name, which its TLS certificate bears
    must_encrypt: bool = False  # REQUIRE_ENCRYPTION, and the tunnel does not: the command has to


class Wishes(NamedTuple):
    """What onext-migrate.conf asks for; 0 is off."""

    auto_converge: bool = False
    bandwidth: int = 0
    parallel: int = 0
    postcopy: bool = False
    tls: bool = False


class Command(NamedTuple):
    """The words after `virsh … migrate`, the options' names, and the lines for the VM's log."""

    words: List[str]
    names: Set[str]
    notes: List[str]


class _Option(NamedTuple):
    name: str
    value: Optional[str]
    origin: str

    @property
    def words(self) -> List[str]:
        return [self.name] if self.value is None else [self.name, self.value]


def merge(words: Sequence[str], kvmrc: str, wishes: Wishes, tunnel: Tunnel) -> Command:
    """Return the command for `words`, which follow `migrate`; raise BadInputError for a pair that is refused.

    `kvmrc` is the value of MIGRATE_OPTIONS: its options are in `words` already.
    """
    notes: List[str] = []
    options, rest = _read(words, kvmrc)
    options = [one for one in _once(options, notes) if one.name not in _OURS]
    options += _wanted(wishes, {one.name for one in options})
    options = _without_excluded(options, notes)
    options += [
        _Option("--migrateuri", tunnel.migrate_uri, OPENNEBULA),
        _Option("--listen-address", tunnel.listen_address, OPENNEBULA),
    ]
    names = {one.name for one in options}
    if "--tls" in names:
        options.append(_Option("--tls-destination", tunnel.destination, OPENNEBULA))
    elif tunnel.must_encrypt:
        raise BadInputError('REQUIRE_ENCRYPTION="YES": this tunnel does not encrypt, and TLS is not set')
    return Command([word for one in options for word in one.words] + rest, names, notes)


def positional(words: Sequence[str]) -> List[str]:
    """Return the words that are neither options nor their values: the domain and the destination's URI."""
    options, rest = _read(words, "")
    named = {one.name: one.value for one in options}
    return [one for one in (named.get("--domain"), named.get("--desturi")) if one is not None] + rest


def _read(words: Sequence[str], kvmrc: str) -> Tuple[List[_Option], List[str]]:
    """Return the options with who asked for each, and the words that are not options."""
    of_kvmrc = _names(kvmrc.split())
    options: List[_Option] = []
    rest: List[str] = []
    index = 0
    while index < len(words):
        name, equals, value = words[index].partition("=")
        index += 1
        if not name.startswith("--") or name == "--":
            rest.append(words[index - 1])
            continue
        given: Optional[str] = value if equals else None
        if not equals and name in _VALUED and index < len(words):
            given = words[index]
            index += 1
        if name in of_kvmrc:
            of_kvmrc.remove(name)
            origin = KVMRC
        else:
            main = _main(name)
            origin = VM if main in _OF_A_VM else OPENNEBULA
        options.append(_Option(name, given, origin))
    return options, rest


def _names(words: Sequence[str]) -> List[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--")]


def _main(name: str) -> str:
    for main, dependents in _DEPENDENTS.items():
        if name in dependents:
            return main
    return name


def _once(options: Sequence[_Option], notes: List[str]) -> List[_Option]:
    """Keep the last of each: virsh refuses an option that it sees twice, and the VM's come after kvmrc's."""
    last: Dict[str, _Option] = {}
    for one in options:
        before = last.pop(one.name, None)
        if before and before.value != one.value:
            notes.append(f"{_text(before)} of {before.origin} gives way to {_text(one)} of {one.origin}")
        last[one.name] = one
    return list(last.values())


def _wanted(wishes: Wishes, present: Set[str]) -> List[_Option]:
    wanted: List[List[str]] = []
    if wishes.auto_converge:
        wanted.append(["--auto-converge"])
    if wishes.bandwidth:
        wanted.append(["--bandwidth", str(wishes.bandwidth)])
    if wishes.parallel:
        wanted += [["--parallel"], ["--parallel-connections", str(wishes.parallel)]]
    if wishes.postcopy:
        wanted.append(["--postcopy"])
    if wishes.tls:
        wanted.append(["--tls"])
    return [
        _Option(one[0], one[1] if len(one) > 1 else None, SETTINGS) for one in wanted if one[0] not in present
    ]


def _without_excluded(options: List[_Option], notes: List[str]) -> List[_Option]:
    if any(one.name == "--tunnelled" for one in options):
        for name in ("--tunnelled", "--p2p"):
            if any(one.name == name for one in options):
                options = _drop(options, name, "it excludes the tunnel", notes)
        if not any(one.name == "--tls" for one in options):
            notes.append('without --tunnelled the memory is not encrypted: set TLS="YES" to encrypt it')
    for one, other in _FATAL + _EXCLUSIVE:
        origins = {option.name: option.origin for option in options}
        if one not in origins or other not in origins:
            continue
        if origins[one] == origins[other] == KVMRC and (one, other) in _FATAL:
            raise BadInputError(f"MIGRATE_OPTIONS in kvmrc: {one} and {other} lose the VM: remove one")
        weaker, stronger = sorted((one, other), key=lambda name: _STRENGTH.index(origins[name]))
        options = _drop(options, weaker, f"it excludes {stronger} of {origins[stronger]}", notes)
    return options


def _drop(options: Sequence[_Option], name: str, why: str, notes: List[str]) -> List[_Option]:
    gone = {name, *_DEPENDENTS.get(name, ())}
    origin = next(one.origin for one in options if one.name == name)
    notes.append(f"{name} of {origin} is dropped: {why}")
    return [one for one in options if one.name not in gone]


def _text(option: _Option) -> str:
    return " ".join(option.words)
