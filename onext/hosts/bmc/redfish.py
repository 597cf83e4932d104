"""Redfish: a system's power, identity and orders. Runs in the child only.

Standards: DSP0266 (protocol), DSP0268 (ComputerSystem, AccountService, ActionInfo).
"""

from __future__ import annotations

from uuid import UUID

from onext import bounds
from onext.hosts.bmc import redfish_watts
from onext.hosts.bmc.errors import BmcError, InvalidAnswer, Refused
from onext.hosts.bmc.identity import Reported
from onext.hosts.bmc.job import Job, Order
from onext.hosts.bmc.redfish_http import Connection
from onext.hosts.bmc.redfish_json import Object, items, links, member, text
from onext.hosts.bmc.watts import Draw

_SYSTEMS, _ACCOUNTS = "/redfish/v1/Systems", "/redfish/v1/AccountService"
_MOST_ACCOUNTS = 16
_POWER = {"On": "on", "Off": "off"}  # PowerState; PoweringOn, PoweringOff and Paused are neither
_AFTER = {"on": "on", "soft": "off", "hard": "off"}
# ResetType, the best first. A power button asks the operating system, as GracefulShutdown does.
_RESETS = {"on": ("On", "ForceOn"), "soft": ("GracefulShutdown", "PushPowerButton"), "hard": ("ForceOff",)}
_NEEDED = "ConfigureComponents"  # the privilege for ComputerSystem.Reset (DSP8011, operation map)
_ROLES = {"Administrator": True, "Operator": True, "ReadOnly": False}  # DSP0266, 13.4.4


class Redfish:
    """A BMC's system; every request of it is authenticated by itself."""

    def __init__(self, job: Job) -> None:
        self._job, self._bmc = job, Connection(job)
        self._path = job.system or self._only_system()
        self._system = self._bmc.get(self._path)

    def power(self) -> str:
        """Return `on` or `off`."""
        state = self._system.get("PowerState")
        if not isinstance(state, str) or state not in _POWER:
            raise InvalidAnswer(f"its power state is {bounds.words(repr(state), 100)}, neither On nor Off")
        return _POWER[state]

    def identity(self) -> Reported:
        """Return the system's UUID and serial numbers; Dell's service tag is its SKU."""
        try:
            uuid = str(UUID(str(self._system.get("UUID"))))
        except ValueError:
            uuid = ""
        keys = ("SKU", "SerialNumber") if self._is_dell() else ("SerialNumber",)
        return Reported(uuid, tuple(filter(None, (text(self._system, key) for key in keys))))

    def order(self, order: Order) -> None:
        """Ask for a reset of this kind; one that is refused counts when the power is as ordered."""
        action = member(self._system, "Actions", "#ComputerSystem.Reset")
        if not action.get("target"):
            raise Refused("it does not offer to switch this system")
        allowed = self._allowed(action)
        reset = self._chosen(order, allowed)
        try:
            self._bmc.post(action["target"], {"ResetType": reset})
        except Refused as error:
            self._system = self._bmc.get(self._path)
            if _POWER.get(str(self._system.get("PowerState"))) != _AFTER[order]:
                listed = f"; it allows {_listed(allowed)}" if allowed else ""
                raise Refused(f"ResetType {reset}: {error}{listed}") from error

    def watts(self, *, on: bool) -> Draw:
        """Return what the chassis of the system draw."""
        return redfish_watts.read(self._bmc, self._path, self._system, self._job.bounds, on=on)

    def privilege(self) -> bool | None:
        """Return whether the account's role may switch the system, as far as the BMC lets it read that."""
        try:
            accounts = self._bmc.get(f"{_ACCOUNTS}/Accounts")
            for link in list(links(items(accounts, "Members")))[:_MOST_ACCOUNTS]:
                account = self._bmc.optional(link, [])
                if account.get("UserName") == self._job.user:
                    return self._role(account)
        except BmcError:
            return None
        return None

    def close(self) -> None:
        """End the connection."""
        self._bmc.close()

    def _role(self, account: Object) -> bool | None:
        name = text(account, "RoleId")
        link = next(links([member(account, "Links", "Role")]), f"{_ACCOUNTS}/Roles/{name}")
        privileges = self._bmc.optional(link, []).get("AssignedPrivileges")
        if isinstance(privileges, list):
            return _NEEDED in privileges
        return _ROLES.get(name)

    def _is_dell(self) -> bool:
        return "dell" in text(self._system, "Manufacturer").lower() or bool(
            member(self._system, "Oem", "Dell")
        )

    def _allowed(self, action: Object) -> list[str]:
        """Return the values of ResetType that the BMC lists; none where it lists none."""
        listed = action.get("ResetType@Redfish.AllowableValues")
        if not isinstance(listed, list) and "@Redfish.ActionInfo" in action:
            information = self._bmc.optional(action["@Redfish.ActionInfo"], [])
            for one in items(information, "Parameters"):
                if one.get("Name") == "ResetType":
                    listed = one.get("AllowableValues")
        values = listed if isinstance(listed, list) else ()
        return [one for one in values if isinstance(one, str)]

    def _chosen(self, order: Order, allowed: list[str]) -> str:
        wanted = ("PushPowerButton",) if order == "soft" and self._job.button else _RESETS[order]
        if not allowed:
            return wanted[0]
        for one in wanted:
            if one in allowed:
                return one
        hint = ": set `shutdown: ssh` in bmc.yaml" if order == "soft" else ""
        raise Refused(
            f"it does not allow ResetType {' or '.join(wanted)}, which is needed; "
            f"it allows {_listed(allowed)}{hint}"
        )

    def _only_system(self) -> str:
        systems = list(links(items(self._bmc.get(_SYSTEMS), "Members")))
        if len(systems) != 1:
            raise Refused(f"it has {len(systems)} systems: name the one meant in bmc.yaml as `system`")
        return systems[0]


def _listed(allowed: list[str]) -> str:
    return bounds.words(", ".join(allowed), 400)
