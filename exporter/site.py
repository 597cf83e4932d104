"""What the exporter's paths answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from exporter import landing_page
from exporter.collection import Scrape
from exporter.exposition import CONTENT_TYPE


class Answer(NamedTuple):
    """What is sent back; with `login` the client is asked for a password."""

    status: HTTPStatus
    type: str
    body: bytes
    encoding: str = ""
    login: bool = False


@dataclass
class Site:
    """What the paths answer with; `collect` is shared by all connections and may be called at once."""

    collect: Callable[[], Scrape]
    ready: Callable[[], str]  # why not; empty when ready
    version: str
    targets: Path | None = None  # folder of file_sd files to serve as http_sd
    gateway: str = ""  # address of the gateway's page
    started: float = 0.0
    last: Scrape | None = None

    def answer(self, path: str, *, gzip: bool) -> Answer:
        """Return the answer to a GET."""
        match path:
            case "/metrics":
                self.last = self.collect()
                body = self.last.compressed if gzip else self.last.text
                return Answer(HTTPStatus.OK, CONTENT_TYPE, body, "gzip" if gzip else "")
            case "/-/healthy":
                return _text(HTTPStatus.OK, "healthy\n")
            case "/-/ready":
                reason = self.ready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
                return _text(status, f"{reason or 'ready'}\n")
            case "/":
                body = landing_page.render(self.last, self.started, self.version, self.links())
                return Answer(HTTPStatus.OK, "text/html; charset=utf-8", body)
        return self._targets(path)

    def links(self) -> Mapping[str, str]:
        """Return where the landing page leads."""
        return (
            {"/metrics": "metrics", "/-/healthy": "healthy?", "/-/ready": "ready?"}
            | {f"/targets/{name}": f"targets: {name}" for name in self._jobs()}
            | ({self.gateway: "map, incidents and power"} if self.gateway else {})
        )

    def _jobs(self) -> dict[str, Path]:
        if self.targets is None:
            return {}
        return {file.stem: file for file in sorted(self.targets.glob("*.json"))}

    def _targets(self, path: str) -> Answer:
        file = self._jobs().get(path.removeprefix("/targets/")) if path.startswith("/targets/") else None
        if file is None:
            return _text(HTTPStatus.NOT_FOUND, "not found; see /\n")
        return Answer(HTTPStatus.OK, "application/json", file.read_bytes())


def forbidden() -> Answer:
    """Return the answer to who may not ask."""
    return _text(HTTPStatus.UNAUTHORIZED, "unauthorized\n")._replace(login=True)


def internal_error() -> Answer:
    """Return the answer to a request that failed here."""
    return _text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see the exporter's log\n")


def _text(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", text.encode())
