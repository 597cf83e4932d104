"""The modules that decide, guard, act or parse, each with the tests that must notice a change in it."""

from __future__ import annotations

from collections.abc import Mapping

ACTIONS = ("tests/onext/hosts/actions/test_rules.py", "tests/onext/hosts/actions/test_doubt.py")
DECIDE = ("tests/hooks/power/test_decide.py", "tests/hooks/power/test_decide_safety.py")
INVENTORY = ("tests/onext/hosts/inventory",)

MODULES: Mapping[str, tuple[str, ...]] = {
    "hooks/geolocation/decide.py": ("tests/hooks/geolocation",),
    "hooks/power/reasons_to_stay.py": (*DECIDE, "tests/hooks/power/test_guard.py"),
    "hooks/power/window.py": ("tests/hooks/power/test_window.py",),
    "hooks/power/decide.py": DECIDE,
    "hooks/power/needed_hosts.py": DECIDE,
    "hooks/power/guard.py": ("tests/hooks/power/test_guard.py",),
    "hooks/power/move_failures.py": ("tests/hooks/power/test_move_failures.py",),
    "hooks/power/policy.py": ("tests/hooks/power/test_policy.py",),
    "hooks/power/round.py": (*ACTIONS, "tests/hooks/power/test_move_failures.py"),
    "hooks/power/placement_problem.py": DECIDE,
    "hooks/targets/decide.py": ("tests/hooks/targets",),
    "hooks/targets/policy.py": ("tests/hooks/targets",),
    "onext/biscuit/revocation.py": ("tests/onext/biscuit/test_revocation.py",),
    "onext/bounds.py": ("tests/onext/test_bounds.py",),
    "onext/hosts/actions/actuator.py": (*ACTIONS, "tests/onext/hosts/test_deciders.py"),
    "onext/hosts/actions/fence.py": ACTIONS,
    "onext/hosts/actions/power_off.py": (*ACTIONS, "tests/hooks/power/test_move_failures.py"),
    "onext/hosts/actions/recover.py": ("tests/onext/hosts/actions/test_recover.py",),
    "onext/hosts/actions/return_to_service.py": ACTIONS,
    "onext/hosts/actions/wake.py": ACTIONS,
    "onext/hosts/claims.py": ("tests/onext/hosts/test_claims.py",),
    "onext/hosts/deciders.py": ("tests/onext/hosts/test_deciders.py",),
    "onext/hosts/holding.py": ("tests/onext/hosts/test_holding.py",),
    "onext/hosts/inventory/groups.py": INVENTORY,
    "onext/hosts/inventory/immovable.py": INVENTORY,
    "onext/hosts/inventory/requirements.py": ("tests/onext/hosts/inventory/test_requirements.py",),
    "onext/hosts/inventory/vms.py": INVENTORY,
    "onext/oned/documents.py": ("tests/onext/oned/test_documents.py",),
    "onext/oned/elements.py": ("tests/onext/oned/test_elements.py",),
    "onext/oned/template.py": ("tests/onext/oned/test_template.py",),
    "onext/spool.py": ("tests/onext/test_spool.py",),
    "onext/worker/queue.py": ("tests/onext/worker/test_queue.py",),
}
