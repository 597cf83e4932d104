"""A laboratory node: network, mount, uts and pid namespaces with sshd, libvirtd, Open vSwitch and oneadmin in them."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DRIVER = HERE.parent.parent / "drivers" / "vmm" / "migrate"
STOCK = Path(os.environ["ONEXT_LAB_MIGRATE"]) if os.environ.get("ONEXT_LAB_MIGRATE") else None
RUBYLIB = "RUBYLIB=/var/tmp/one/ruby"
UID = 9869
PATH = "/usr/local/bin:/usr/bin:/bin"
PATIENCE = 180.0  # seconds for one thing to happen; a busy machine takes many times as long as a quiet one
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def real_scripts(folder: Path, to: Path) -> None:
    """Place a release's own scripts as on a node: `folder` holds /var/tmp/one, or the source tree's remotes."""
    for name in ("vmm", "DriverLogger.rb", "scripts_common.sh"):
        part = folder / name
        if part.is_dir():
            shutil.copytree(part, to / name, dirs_exist_ok=True)
        elif part.exists():
            shutil.copy(part, to / name)
    if (folder / "kvm").is_dir():  # src/vmm_mad/remotes
        shutil.copytree(folder / "kvm", to / "vmm/kvm", dirs_exist_ok=True)
        shutil.copytree(folder / "lib", to / "vmm/lib", dirs_exist_ok=True)
        shutil.copy(folder / "lib/kvm/opennebula_vm.rb", to / "vmm/kvm")
        logger = folder.parents[1] / "mad/ruby/DriverLogger.rb"
        if logger.exists():
            shutil.copy(logger, to)
    # Packages replace this line by the paths of their gems, of which migrate needs none
    paths = to / "ruby/load_opennebula_paths.rb"
    paths.parent.mkdir(exist_ok=True)
    paths.write_text("# nothing: see tests/lab/node.py\n")


def until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is true; fail with its name when it does not become so."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


@dataclass
class Done:
    """What a command left."""

    exit_code: int
    stdout: str
    stderr: str


class Node:
    """One hypervisor."""

    def __init__(self, name: str, number: int, folder: Path, namespace: str) -> None:
        self.name, self.number, self.folder, self.namespace = name, number, folder, namespace
        self.ipv4, self.ipv6 = f"10.99.0.{number}", f"fd00:99::{number}"
        self._init = 0

    def command(self, *words: str, user: str = "oneadmin", env: dict[str, str] | None = None) -> list[str]:
        """Return the command line that runs something inside."""
        enter = ["nsenter", "-t", str(self._init), "-m", "-u", "-n", "-p", "--"]
        if user == "root":
            return [*enter, "env", "-i", "HOME=/root", f"PATH={ROOT_PATH}", "LANG=C", *_pairs(env), *words]
        as_user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups"]
        home = [
            "env",
            "-i",
            "-C",
            "/var/lib/one",
            "HOME=/var/lib/one",
            "USER=oneadmin",
            f"PATH={PATH}",
            "LANG=C",
            RUBYLIB,
        ]
        return [*enter, *as_user, *home, *_pairs(env), *words]

    def run(
        self,
        *words: str,
        user: str = "root",
        stdin: bytes = b"",
        check: bool = True,
        timeout: float = PATIENCE,
    ) -> Done:
        """Run a command inside to its end."""
        done = subprocess.run(
            self.command(*words, user=user), input=stdin, capture_output=True, timeout=timeout, check=False
        )
        result = Done(
            done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and result.exit_code:
            raise AssertionError(f"{self.name}: {words}: {result}")
        return result

    def sh(self, script: str, check: bool = True) -> Done:
        """Run a shell script inside, as root."""
        return self.run("bash", "-c", script, check=check)

    def virsh(self, *words: str, check: bool = True) -> str:
        """Run virsh inside, as root."""
        return self.run("virsh", "-q", "-c", "qemu:///system", *words, check=check).stdout.strip()

    def state(self, domain: str) -> str:
        """Return a domain's state, "absent" without one."""
        return self.virsh("domstate", domain, check=False) or "absent"

    def devices(self) -> set[str]:
        """Return the names of the network devices."""
        return set(self.run("ls", "/sys/class/net").stdout.split())

    def tunnels(self) -> set[str]:
        """Return our own devices, and bridges that are only in OVS's database."""
        listed = self.run("ovs-vsctl", "list-br", check=False).stdout.split() if self.has_ovs() else []
        return {name for name in self.devices() | set(listed) if name.startswith(("oxt", "oxp"))}

    def has_ovs(self) -> bool:
        """Tell whether Open vSwitch runs here."""
        return self.run("test", "-S", "/run/openvswitch/db.sock", check=False).exit_code == 0

    def processes(self, pattern: str) -> dict[int, str]:
        """Return the processes inside whose command line holds a pattern: pid (as the host sees it) -> command line."""
        here = Path(f"/proc/{self._init}/ns/pid").readlink()
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "ns/pid").readlink() == here:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if re.search(pattern, line, re.DOTALL):
                        found[int(entry.name)] = line
            except OSError:
                continue  # gone meanwhile
        return found

    def start(self, peers: "list[tuple[str, str, str]]", key: Path, host_keys: dict[str, str]) -> None:
        """Bring up namespaces and files; daemons come with `daemons`."""
        for part in ("etc", "libvirt", "log", "cache", "home/.ssh", "root/.ssh", "vartmp"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self._write_etc(peers)
        self._write_homes(key, host_keys)
        self.sync()
        unshare = ["unshare", "-m", "-u", "-p", "-f", "--kill-child", "--propagation", "private"]
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}", *unshare]
        init = [str(HERE / "node_init.sh"), self.name, str(self.folder), str(HERE / "bin")]
        with (self.folder / "init.log").open("wb") as log:
            self._outer = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *enter, *init],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until((self.folder / "ready").exists, f"{self.name}: {self.folder / 'init.log'}")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children")
        until(lambda: children.read_text().split(), "the namespace's init")
        self._init = int(children.read_text().split()[0])

    def stop(self) -> None:
        """End everything inside: the pid namespace dies with its init."""
        if self.alive():
            os.kill(self._init, signal.SIGKILL)
        if self._init:
            self._outer.wait(60)

    @property
    def first_process(self) -> int:
        """Return the process id, as seen from outside, with which everything inside ends."""
        return self._init

    def alive(self) -> bool:
        """Tell whether the node still runs."""
        return bool(self._init) and self._outer.poll() is None

    def clean(self) -> None:
        """Destroy all VMs and tunnels, whatever a test left."""
        for name in self.virsh("list", "--name", check=False).split():
            self.virsh("destroy", name, check=False)
        for name in self.tunnels():
            self.sh(
                f"ip link delete {name} 2>/dev/null; ovs-vsctl --if-exists del-br {name} 2>/dev/null",
                check=False,
            )
        (self.folder / "home/.onext-tunnel-off").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "home/datastores", ignore_errors=True)

    def sync(self) -> None:
        """Place the drivers, as `onehost sync` does."""
        kvm = self.folder / "vartmp/one/vmm/kvm"
        shutil.rmtree(self.folder / "vartmp/one", ignore_errors=True)
        shutil.copytree(
            DRIVER / "onext_migrate", kvm / "onext_migrate", ignore=shutil.ignore_patterns("__pycache__")
        )
        if STOCK:
            real_scripts(STOCK, self.folder / "vartmp/one")
            (kvm / "migrate").rename(kvm / "migrate_default")
        else:
            shutil.copy(HERE / "bin/migrate_default", kvm / "migrate_default")
        shutil.copy(DRIVER / "migrate", kvm / "migrate")
        probes = self.folder / "vartmp/one/im/kvm-probes.d/host/system"
        shutil.copytree(DRIVER / "probe", probes)
        self.configure()
        _own(self.folder / "vartmp/one")

    @property
    def stock(self) -> Path:
        """Return OpenNebula's own migrate, or its stand-in."""
        return self.folder / "vartmp/one/vmm/kvm/migrate_default"

    def call_virsh_by_path(self, domain: str = "") -> None:
        """Let OpenNebula's own migrate call virsh by its path, for one domain or for all."""
        if STOCK:
            library = self.stock.with_name("opennebula_vm.rb")
            path = f"#{{@domain == '{domain}' ? '/usr/bin/' : ''}}" if domain else "/usr/bin/"
            command = 'capture3("#{virsh} #{cmd}'
            text = library.read_text()
            assert command in text
            library.write_text(text.replace(command, command.replace("#{virsh}", path + "#{virsh}")))
            return
        text = self.stock.read_text()
        condition = f'if [ "$domain" = {domain or "$domain"} ]; then here="/usr/bin/$here"; fi\ndisks= extra='
        assert "disks= extra=" in text
        self.stock.write_text(text.replace("disks= extra=", condition))

    def configure(self, conf: str = "", kvmrc: str = "", clusters: str = "") -> None:
        """Write onext-migrate.conf, kvmrc and the map of clusters."""
        etc = self.folder / "vartmp/one/etc/vmm/kvm"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "onext-migrate.conf").write_text(conf)
        (etc / "kvmrc").write_text(
            "export LANG=C\nexport LIBVIRT_URI=qemu:///system\nexport QEMU_PROTOCOL=qemu+ssh\n" + kvmrc
        )
        (etc / "onext-clusters.conf").write_text(clusters)
        _own(etc)

    def marked_disk(self, path: str, marker: str, megabytes: int = 16) -> None:
        """Make a disk image whose every sector holds the marker."""
        raw = self.folder / "raw"
        raw.write_bytes((marker.encode() + os.urandom(16)).ljust(512, b".") * (2048 * megabytes))
        image = self.on_host(path)
        image.parent.mkdir(parents=True, exist_ok=True)
        (image.parent / "vm.xml").write_text("<VM/>\n")  # OpenNebula copies *.xml, and fails without one
        subprocess.run(
            ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(raw), str(image)], check=True
        )
        raw.unlink()
        _own(self.folder / "home/datastores")

    def disk_markers(self, path: str, marker: str) -> int:
        """Count the markers in a disk image."""
        return self.on_host(path).read_bytes().count(marker.encode())

    def remove_disk(self, path: str) -> None:
        """Remove what OpenNebula's transfer driver would remove after a migration."""
        shutil.rmtree(self.on_host(path).parent)

    def on_host(self, path: str) -> Path:
        """Return where a file below /var/lib/one is, seen from outside."""
        return self.folder / "home" / Path(path).relative_to("/var/lib/one")

    def daemons(self) -> None:
        """Start sshd and libvirtd."""
        self.run("/usr/sbin/sshd")
        self.run("/usr/sbin/virtlogd", "-d")
        self.start_libvirt()

    def start_libvirt(self) -> None:
        """Start libvirt's daemon and wait until it answers."""
        self.run("/usr/sbin/libvirtd", "-d")
        answers = ("virsh", "-c", "qemu:///system", "list")
        until(lambda: self.run(*answers, check=False).exit_code == 0, f"{self.name}: libvirtd")

    def stop_libvirt(self) -> None:
        """Kill libvirt's daemon."""
        for pid in self.processes(r"^/usr/sbin/libvirtd"):
            os.kill(pid, signal.SIGKILL)
        self.sh("rm -f /run/libvirtd.pid", check=False)

    def start_ovs(self, *, switch: bool = True) -> None:
        """Start Open vSwitch, with the underlay's device in a userspace bridge, or its database alone."""
        self.sh(
            "ovsdb-tool create /run/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema"
            " && ovsdb-server /run/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --detach"
            " --log-file -vconsole:off && ovs-vsctl --no-wait init"
        )
        if switch:
            self.sh(
                "ovs-vswitchd --pidfile --detach --log-file -vconsole:off"
                " && ovs-vsctl add-br br-phy -- add-port br-phy ul0"
            )
        else:  # as a switch that died
            self.sh("echo 4194304 >/run/openvswitch/ovs-vswitchd.pid")

    def _write_etc(self, peers: "list[tuple[str, str, str]]") -> None:
        etc = self.folder / "etc"
        subprocess.run(["cp", "-a", "/etc/.", str(etc)], check=True)
        _enter(etc / "passwd", f"oneadmin:x:{UID}:{UID}::/var/lib/one:/bin/bash\n")
        _enter(etc / "shadow", "oneadmin:*:19000::::::\n")
        _enter(etc / "group", f"oneadmin:x:{UID}:\n")
        shutil.rmtree(etc / "sudoers.d")
        (etc / "sudoers.d").mkdir(mode=0o750)
        (etc / "hostname").write_text(self.name + "\n")
        # Debian's installer writes the host's own name to 127.0.1.1: that is how the reference found its remote
        own = f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n"
        (etc / "hosts").write_text(
            own
            + "".join(f"{four} {name}\n{six} {name}-six\n" for name, four, six in peers if name != self.name)
        )
        (etc / "sudoers.d/opennebula").write_text((HERE / "sudoers").read_text())
        (etc / "sudoers.d/opennebula").chmod(0o440)
        shutil.rmtree(etc / "ssh/sshd_config.d", ignore_errors=True)
        (etc / "ssh/sshd_config").write_text(
            "PermitRootLogin no\nUsePAM no\nUseDNS no\nPidFile /run/sshd.pid\nMaxStartups 50\nSubsystem sftp internal-sftp\n"
            f"HostKey /etc/ssh/ssh_host_ed25519_key\nSetEnv {RUBYLIB}\n"
        )
        for old in (etc / "ssh").glob("ssh_host_*"):
            old.unlink()
        key = etc / "ssh/ssh_host_ed25519_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        (etc / "libvirt/libvirtd.conf").write_text(
            f'host_uuid = "00000000-0000-4000-8000-00000000000{self.number}"\n'
            'unix_sock_group = "oneadmin"\nunix_sock_rw_perms = "0770"\nauth_unix_ro = "none"\nauth_unix_rw = "none"\n'
        )
        (etc / "libvirt/qemu.conf").write_text(
            'user = "root"\ngroup = "root"\ndynamic_ownership = 0\nsecurity_driver = "none"\ncgroup_controllers = []\n'
            "namespaces = []\n"
        )

    @property
    def host_key(self) -> str:
        """Return the public host key."""
        return " ".join((self.folder / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    def _write_homes(self, key: Path, host_keys: dict[str, str]) -> None:
        ssh = self.folder / "home/.ssh"
        shutil.copy(key, ssh / "id_ed25519")
        shutil.copy(key.with_suffix(".pub"), ssh / "authorized_keys")
        # Names and underlay addresses only, as a front-end hands them out: never a tunnel's address
        (ssh / "known_hosts").write_text("".join(f"{names} {one}\n" for names, one in host_keys.items()))
        (ssh / "config").write_text("StrictHostKeyChecking yes\n")
        for path in ssh.iterdir():
            path.chmod(0o600)
        ssh.chmod(0o700)
        _own(self.folder / "home")
        (self.folder / "vartmp").chmod(0o1777)


def _pairs(env: dict[str, str] | None) -> list[str]:
    return [f"{key}={value}" for key, value in (env or {}).items()]


def _enter(path: Path, line: str) -> None:
    """Add a line for oneadmin in place of the machine's own, if it has one."""
    kept = [one for one in path.read_text().splitlines(keepends=True) if not one.startswith("oneadmin:")]
    path.write_text("".join(kept) + line)


def _own(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, UID, UID, follow_symlinks=False)
