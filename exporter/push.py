"""Pushes each page to an OTLP receiver, for sites whose Prometheus cannot scrape this front-end.

One sender, one page at a time, in order. A page that cannot be delivered is dropped, because the next one has
newer values; only which series the receiver knows is remembered, so that the end of each is told.
"""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter import otlp
from onext.http import BadStatus, Http, HttpError
from onext.settings.exporter import Push

_LARGEST = 16_384  # bytes of the file of headers
_MOST = 1_000_000  # series whose end is told; beyond it some are left to time out
_LONGEST = 16  # times the interval, after failures in a row
_log = logging.getLogger("onext.exporter")


class Pusher:
    """Pushes what `collect` returns every `settings.interval` seconds, from a separate thread."""

    def __init__(
        self,
        settings: Push,
        collect: Callable[[], bytes],
        resource: Mapping[str, str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._collect = collect
        self._resource = resource
        self._now = now
        self._start = int(now() * 1e9)
        self._known: set[bytes] = set()  # series that the receiver has, and has not been told the end of
        self._failures = 0
        self._reported = ""
        self._ended = threading.Event()
        self._http = Http(connections=1, trust=settings.ca_file)

    def start(self) -> None:
        """Push until the process ends."""
        threading.Thread(target=self._run, name="push", daemon=True).start()

    def stop(self) -> None:
        """Push no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self.pause):
            self.push()

    @property
    def pause(self) -> float:
        """Seconds until the next push: the interval, twice it after a failure, and so on to 16 times."""
        return self._settings.interval * min(1 << self._failures, _LONGEST)

    def push(self) -> bool:
        """Collect and push one page; return whether all of it was accepted. Raises nothing."""
        try:
            self._send(otlp.Page.of(self._collect()))
        except BadStatus as error:
            self._failed(f"{error}: this page is dropped", retry=error.answer.status in (429, 502, 503, 504))
        except (HttpError, OSError, ValueError) as error:
            self._failed(f"{error}: this page is dropped", retry=True)
        except Exception:  # noqa: BLE001 - the outermost edge of a thread
            _log.exception("push")
            self._failures += 1
        else:
            if self._reported:
                _log.info("push to %s: accepted again", self._shown)
            self._failures, self._reported = 0, ""
            return True
        return False

    def _send(self, page: otlp.Page) -> None:
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", **self._headers()}
        ended = sorted(self._known - page.values.keys())
        self._known |= page.values.keys()  # a part may be accepted before another one fails
        if len(self._known) > _MOST:
            self._known = set(page.values)
        for body in otlp.requests(page, ended, self._resource, self._start, int(self._now() * 1e9)):
            self._http.post(
                self._settings.url, gzip.compress(body, 1), timeout=self._settings.timeout, headers=headers
            )
        self._known -= set(ended)

    def _headers(self) -> Mapping[str, str]:
        """Return the headers of the file, `Name: value` on each line; raise OSError or ValueError."""
        file: Path | None = self._settings.headers_file
        if file is None:
            return {}
        with file.open(encoding="utf-8") as stream:
            lines = stream.read(_LARGEST).splitlines()
        pairs = [line.partition(":") for line in lines if line.strip()]
        if not all(name.strip() and colon for name, colon, _ in pairs):
            raise ValueError(f"{file}: each line is expected to be `Name: value`")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def _failed(self, reason: str, *, retry: bool) -> None:
        """Log a failure once for each reason. Only what may pass by itself makes the pauses longer."""
        self._failures = min(self._failures + 1, 8) if retry else 0
        if reason != self._reported:
            _log.warning("push to %s: %s", self._shown, reason)
        self._reported = reason

    @property
    def _shown(self) -> str:
        return self._settings.url.partition("?")[0].rpartition("@")[2]
