"""How much one user or address may ask for: token buckets, of which a bounded number is remembered."""

from __future__ import annotations

import time
from collections import OrderedDict

from gateway.refusals import TooMany

_MOST = 4096  # buckets
FAILED_PER_SECOND, FAILED_BURST = 0.2, 10.0  # logins of one address that oned refused


class Buckets:
    """Buckets by key: `rate` tokens a second, at most `burst` of them."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, key: object, tokens: float = 1.0) -> None:
        """Take tokens; raise TooMany, with the seconds until there are enough."""
        left = self._left(key)
        if left < tokens:
            raise TooMany("too many requests; wait a moment", retry=(tokens - left) / self._rate)
        self._keep(key, left - tokens)

    def demand(self, key: object) -> None:
        """Raise TooMany where no token is left; take none."""
        self_left = self._left(key)
        if self_left < 1.0:
            raise TooMany(
                "too many failed logins or slow tokens; wait a moment", retry=(1.0 - self_left) / self._rate
            )

    def charge(self, key: object, tokens: float) -> None:
        """Take tokens for work that is already done, at most those that are left."""
        self._keep(key, max(0.0, self._left(key) - tokens))

    def _left(self, key: object) -> float:
        left, when = self._buckets.get(key, (self._burst, 0.0))
        return min(self._burst, left + (time.monotonic() - when) * self._rate)

    def _keep(self, key: object, left: float) -> None:
        self._buckets[key] = left, time.monotonic()
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
