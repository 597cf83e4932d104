"""The front-end: its pools and what acts on them, put together."""

import os
import threading
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from sandbox.auth import Authentication
from sandbox.bmc.rack import Rack
from sandbox.configuration import Configuration
from sandbox.errors import InternalError
from sandbox.hooks import Event, Hooks
from sandbox.layout import Layout
from sandbox.life.domains import follow
from sandbox.life.hosts import HostLife
from sandbox.life.scheduler import Scheduler
from sandbox.life.vms import VMLife
from sandbox.log import OnedLog
from sandbox.processes import Children
from sandbox.release import Release
from sandbox.rpc.dispatch import Raft
from sandbox.state.host import Host
from sandbox.state.names import HostState
from sandbox.state.pool_object import PoolObject
from sandbox.state.vm import VM
from sandbox.state.world import World
from sandbox.template import Template, TemplateError
from sandbox.timeline import Timeline

if TYPE_CHECKING:
    from sandbox.nodes import Nodes


@dataclass
class Trouble:
    """What a test wants to go wrong."""

    refuses: bool = False
    seconds: float = 0.0
    calls: str = ""  # the beginning of the names of the calls that are late


@dataclass
class Pace:
    """How fast things go, in seconds."""

    step: float = 0.2  # one state of a VM's or host's life
    monitor: float = 20.0  # between two messages of a host's probes
    boot: float = 1.0  # of a machine that was switched on
    give_up: float = 3.0  # rounds without a message until a host is in ERROR
    schedule: float = 1.0  # between two rounds of the scheduler
    keep: float = 600.0  # how long monitoring is remembered


class FrontEnd:
    """One process that answers as oned does. Everything below `lock` belongs to one thread at a time."""

    def __init__(self, layout: Layout, pace: Pace, release: Release) -> None:
        self.layout, self.pace = layout, pace
        self.started = int(time.time())
        self.lock = threading.RLock()
        self.log = OnedLog(layout.log)
        self.configuration = Configuration(layout.oned_conf)
        self.world = World(layout.password, release)
        self.trouble, self.raft = Trouble(), Raft()
        self.children = Children()
        self.timeline = Timeline(lambda error: self.log.write("E", "ONE", f"sandbox: {error!r}"))
        self.authentication = Authentication(
            remotes=layout.remotes,
            configuration=self.configuration,
            env=self.driver_env,
            log=self.log,
            children=self.children,
            lock=self.lock,
            users=self.world.users,
            groups=self.world.groups,
            unknown_password=release.unknown_password,
        )
        self.hooks = Hooks(
            base=layout.remotes / "hooks",
            env=self.hook_env,
            log=self.log,
            children=self.children,
            lock=self.lock,
            pool=self.world.hooks,
        )
        self.rack = Rack(layout.location / "bmc", self.children, self.switched)
        self.host_life = HostLife(self)
        self.vm_life = VMLife(self)
        self.scheduler = Scheduler(self)

    @cached_property
    def nodes(self) -> "Nodes":
        """Return the nodes behind ssh, which begin when they are first asked for."""
        from sandbox.nodes import Nodes

        return Nodes(self.layout.location, self.children)

    def start(self) -> None:
        """Let time pass: monitoring, life cycles, the reaper of orphans."""
        self.children.adopt_orphans()
        self.timeline.start()
        for life in (self.host_life, self.vm_life, self.scheduler):
            life.start()
        self.timeline.every(1.0, self.children.reap)

    def stop(self) -> None:
        """End all that was started."""
        self.timeline.stop()
        self.hooks.stop()
        if "nodes" in self.__dict__:
            self.nodes.stop()
        self.rack.stop()
        self.children.end_all()

    def hook_env(self) -> dict[str, str]:
        """Return the environment of a hook: the hook manager's own, with no session and no endpoint in it."""
        return {
            "HOME": str(self.layout.var),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "LOGNAME": "oneadmin",
            "ONE_LOCATION": str(self.layout.location),
            "PATH": f"{self.layout.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "SHELL": "/bin/sh",
            "USER": "oneadmin",
        }

    def driver_env(self) -> dict[str, str]:
        """Return the environment of an authentication driver."""
        return self.hook_env() | {
            "ONE_AUTH": str(self.layout.one_auth),
            "ONE_MAD_DEBUG": "",
            "ONE_XMLRPC": self.layout.endpoint,
            "PRIORITY": "19",
        }

    def parse(self, source: str) -> Template:
        """Parse a template that a client sent."""
        try:
            return Template.parse(source, trim=self.world.release.trims)
        except TemplateError as error:
            raise InternalError(str(error)) from error

    def update(self, thing: PoolObject, source: str, mode: int) -> None:
        """Replace (0) or merge (1) the thing's template, as one.<kind>.update does."""
        try:
            change = Template.parse(source, trim=self.world.release.trims)
        except TemplateError as error:
            raise InternalError(f"Cannot update template. {error}") from error
        if mode == 0:
            thing.template = change
        else:
            thing.template.merge(change)
        thing.touch()

    def reserved_of(self, host: Host) -> tuple[str, str]:
        """Return the reservations that a host inherits from its cluster."""
        cluster = self.world.clusters.find(host.cluster_id)
        return cluster.reserved() if cluster else ("", "")

    def host_changed(self, host: Host, *, announce: bool = False) -> None:
        """Tell the hooks where the state is another one than before; drop the rendered XML."""
        if announce or host.state != host.prev_state:
            key = f"HOST/{host.state.name}/"
            if self.hooks.wanted(key):
                self.hooks.happened(Event(key, host.payload(), host.name))
        host.prev_state = host.state
        host.touch()

    def vm_changed(self, vm: VM) -> None:
        """Tell the hooks where state or life state are others than before; drop the rendered XML."""
        if (vm.state, vm.lcm) != (vm.prev_state, vm.prev_lcm):
            key = f"VM/{vm.state.name}/{vm.lcm.name}"
            if self.hooks.wanted(key):
                self.hooks.happened(Event(key, vm.payload(), vm.stay.hostname if vm.history else ""))
        follow(self.world.hosts, vm)
        vm.prev_state, vm.prev_lcm = vm.state, vm.lcm
        vm.touch()

    def switched(self, name: str, on: bool) -> None:  # noqa: FBT001  the rack's callback
        """Let a host's machine go off, or boot."""
        self.log.write("I", "ONE", f"sandbox: the BMC of {name} switched it {'on' if on else 'off'}")
        if on:
            self.timeline.later(self.pace.boot, partial(self.machine, name, alive=True))
        else:
            self.machine(name, alive=False)

    def machine(self, name: str, *, alive: bool) -> None:
        """Let a host's machine answer ssh and monitoring, or neither; monitoring ends first, begins last."""
        if alive:
            self.nodes.behave(name, "ok")
        with self.lock:
            host = self.world.hosts.named(name)
            if host:
                host.machine.alive = alive
                host.machine.running.clear()
                if alive and host.state != HostState.OFFLINE:
                    self.host_life.expect(host)
        if not alive:
            self.nodes.behave(name, "refuse")
