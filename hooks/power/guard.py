"""What is checked once more immediately before a BMC is told to switch a host off."""

from __future__ import annotations

from dataclasses import replace

from hooks.power.policy import TEMPLATE_KEY, Mode, Policy, read
from hooks.power.reasons_to_stay import DAY
from onext.hosts.actions.world import Failed, Sight
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import BmcError
from onext.hosts.inventory.cluster import vector_of
from onext.oned.errors import OnedError
from onext.part import Context
from onext.settings import Settings, SettingsError, load


def refusal(sight: Sight, policy: Policy, now: float, *, enrolling: bool) -> str:
    """Return why a host may not be switched off now; empty where it may. Pure.

    A person's order needs neither MODE nor a cycle left, and enrolment needs no proof.
    """
    ordered = enrolling or (sight.claim is not None and sight.claim.by_hand)
    if sight.excluded:
        return sight.excluded
    age = now - sight.record.proven
    if not enrolling and not sight.record.proven > 0:
        return "not enrolled: `onext power enroll` proves that it wakes"
    if not enrolling and age > policy.proven_seconds:
        return f"last proven to wake {age / DAY:.0f} days ago"
    today = sum(0 <= now - when < DAY for when in sight.record.offs)
    if not ordered and policy.mode is not Mode.AUTO:
        return f"MODE is {policy.mode.value}"
    if not ordered and today >= policy.cycles_per_day:
        return f"was off {today} times today, CYCLES_PER_DAY is {policy.cycles_per_day}"
    return ""


class Guard:
    """Reads the settings, bmc.yaml and the cluster's template afresh, and asks `refusal`."""

    def __init__(self, context: Context, bmcs: BmcConfig, cluster: int, excluded: dict[int, str]) -> None:
        self._context, self._bmcs, self._cluster, self._excluded = context, bmcs, cluster, excluded

    def __call__(self, sight: Sight, enrolling: bool) -> str:  # noqa: FBT001 - a callback
        """Return why this host may not be switched off now; raise Failed where that cannot be found out."""
        try:
            settings = self._settings()
            template = self._context.oned.document("cluster.info", self._cluster, False)
            entry = BmcConfig.load(self._bmcs.file).entries.get(sight.id)
        except (SettingsError, OnedError, BmcError) as error:
            raise Failed(f"host {sight.id} is not switched off: {error}") from error
        if sight.cluster != self._cluster or self._cluster not in settings.power.clusters:
            return f"cluster {sight.cluster} is not one of `power: clusters:`"
        if entry != self._bmcs.entries.get(sight.id):
            return "its entry in bmc.yaml has changed meanwhile"
        sight = replace(sight, excluded=sight.excluded or self._excluded.get(sight.id, ""))
        policy = read(vector_of(template, TEMPLATE_KEY), settings.power)
        return refusal(sight, policy, self._context.now(), enrolling=enrolling)

    def _settings(self) -> Settings:
        return self._context.given or load(self._context.paths.settings)
