"""How a check of a rule is registered, with the patch that removes the rule."""

from collections.abc import Callable

import pytest

Patch = Callable[[pytest.MonkeyPatch], None]
Check = Callable[[], None]
Checks = dict[str, tuple[Patch, Check]]


def registered_in(checks: Checks) -> Callable[[str, Patch], Callable[[Check], Check]]:
    """Return the decorator that registers a check under its rule's name."""

    def rule(name: str, patch: Patch) -> Callable[[Check], Check]:
        def register(check: Check) -> Check:
            checks[name] = (patch, check)
            return check

        return register

    return rule
