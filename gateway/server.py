"""The HTTP server: uvicorn with TLS as web.config describes it, which is read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from gateway.credentials import LONGEST
from gateway.handshake import Handshake
from gateway.protocol import Protocol
from onext import log, webconfig
from onext.webconfig import WebConfigError

IDLE = 30  # seconds that a connection has until its next request
_log = log.get("gateway")


@dataclass
class Certificates:
    """The TLS of new connections; a renewed certificate is used without a restart."""

    file: Path
    context: ssl.SSLContext
    stamp: tuple[int, ...]

    @classmethod
    def load(cls, file: Path | None) -> Certificates | None:
        """Read web.config, None without one or without TLS in it; raise WebConfigError."""
        if file is None:
            return None
        config = webconfig.load(file)
        if config.basic_auth_users:
            raise WebConfigError(
                f"{file}: basic_auth_users: users of the gateway are OpenNebula's; remove them"
            )
        if config.tls_server_config is None:
            return None
        made = webconfig.context(config.tls_server_config, file.parent)
        return cls(file, made, _stamp(file))

    def renew(self) -> None:
        """Load the certificate again where its files changed; keep the old one where they are invalid."""
        stamp = _stamp(self.file)
        if stamp == self.stamp:
            return
        self.stamp = stamp
        try:
            tls = webconfig.load(self.file).tls_server_config
            if tls is not None:  # else it is used until a restart
                webconfig.context(tls, self.file.parent)  # raises where it is invalid
                self.context.load_cert_chain(
                    self.file.parent / tls.cert_file, self.file.parent / tls.key_file
                )
        except (WebConfigError, OSError) as error:
            _log.error("the former certificate stays in use: %s", error)


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        tls = webconfig.load(file).tls_server_config
    except WebConfigError:
        return ()
    names = [file, *((file.parent / tls.cert_file, file.parent / tls.key_file) if tls else ())]
    return tuple(name.stat().st_mtime_ns for name in names if name.exists())


def server(
    app: ASGIApp, address: tuple[str, int], connections: int, certificates: Certificates | None
) -> uvicorn.Server:
    """Return a server that is ready to run."""
    kind: type[asyncio.Protocol] = type(
        "Limited", (Protocol,), {"most": connections, "each": max(1, connections // 4)}
    )
    if certificates is not None:
        kind = type("Secured", (Handshake,), {"protocol": kind, "context": certificates.context})
    config = uvicorn.Config(
        app,
        host=address[0],
        port=address[1],
        http=kind,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=128,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=2 * LONGEST,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it would log an address without TLS
    return uvicorn.Server(config)
