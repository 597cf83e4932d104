"""A small cloud of the model with one server at work, and a log of everything that it did."""

from collections.abc import Callable

from hooks.power.decide import Action
from hooks.power.round import Outcome, act
from onext.hosts.actions import power_off
from onext.hosts.actions.actuator import Actuator, Event, Leases, Limits
from onext.hosts.model import Claim, Phase
from tests.onext.hosts.actions.cloud_model import Cloud, FakeWorld, Machine, observe


class Scene:
    """Three hosts, one server, a log of every effect."""

    def __init__(self) -> None:
        self.cloud = Cloud({number: Machine(number) for number in range(3)})
        self.before: dict[str, Callable[[], None]] = {}
        self.log: list[str] = []
        self.events: list[Event] = []
        self.actuator = self.server(0, 1)

    def server(self, number: int, term: int) -> Actuator:
        world = FakeWorld(self.cloud, number, term, None, lambda _: None)
        for name in ("write", "disable", "offline", "enable", "switch_bmc", "sync"):
            setattr(world, name, self._logged(name, getattr(world, name)))
        return Actuator(world, Limits(failures=2), Leases(), self.events.append)

    def _logged(self, name: str, effect: Callable[..., object]) -> Callable[..., object]:
        def call(host: int, *rest: object, **more: object) -> object:
            detail = rest[0].phase.value if rest and isinstance(rest[0], Claim) else rest[0] if rest else ""
            self.log.append(f"{name} {detail or ''}".strip())
            if happens := self.before.pop(self.log[-1], None):
                happens()
            return effect(host, *rest, **more)

        return call

    def machine(self, host: int = 0) -> Machine:
        return self.cloud.machines[host]

    def off(self) -> str:
        return power_off.power_off(self.actuator, 0, (), "empty")

    def asleep(self) -> "Scene":
        self.off()
        self.cloud.pass_time(60)
        self.off()
        claim = self.machine().claim
        assert claim is not None
        assert claim.phase is Phase.OFF
        self.log.clear()
        return self

    def pass_rounds(self, count: int, seconds: float = 10.0, actuator: Actuator | None = None) -> None:
        for _ in range(count):
            self.cloud.pass_time(seconds)
            self.act(actuator=actuator)

    def act(self, *actions: Action, actuator: Actuator | None = None) -> Outcome:
        return act(actuator or self.actuator, observe(self.cloud), actions)

    def phase(self, host: int = 0) -> Phase | None:
        claim = self.machine(host).claim
        return claim.phase if claim else None

    def told(self, what: str) -> list[str]:
        return [event.reason for event in self.events if event.what == what]
