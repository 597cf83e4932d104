"""The command `onext-exporter`: settings and credentials in, a server until SIGTERM."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import click

from exporter import systemd_units
from exporter.access import Access
from exporter.collection import Collection
from exporter.server import Server
from exporter.single_flight import SingleFlight
from exporter.site import Site
from onext import settings as all_settings
from onext.oned import credentials, stream
from onext.oned.errors import OnedError
from onext.paths import Paths
from onext.settings.exporter import ADDRESS, Push
from onext.settings.gateway import Gateway
from onext.webconfig import WebConfigError

_log = logging.getLogger("onext.exporter")


@click.command()
@click.option("--settings", type=click.Path(path_type=Path), help="The settings; default: onext.yaml.")
@click.option("--auth", type=click.Path(path_type=Path), help="File with user:password; default: ONE_AUTH.")
@click.option("--endpoint", help="XML-RPC address of oned; default: the settings', else ONE_XMLRPC.")
@click.option("--listen", help="address:port; default: the settings', else ONEXT_EXPORTER_LISTEN.")
@click.option(
    "--web-config", type=click.Path(path_type=Path), help="TLS and passwords; default: the settings'."
)
@click.option("--clusters", help="Ids of the clusters to serve, as in 100,101; default: the settings'.")
@click.option("--parts", type=click.Path(path_type=Path), help="Folder of the parts' figures.")
@click.option("--targets", type=click.Path(path_type=Path), help="Folder of targets, for http_sd.")
def main(
    settings: Path | None,
    auth: Path | None,
    endpoint: str | None,
    listen: str | None,
    web_config: Path | None,
    clusters: str | None,
    parts: Path | None,
    targets: Path | None,
) -> None:
    """Serve OpenNebula's metrics to Prometheus."""
    paths = Paths.find()
    _log_to_stderr()
    try:
        chosen = all_settings.load(settings or paths.settings)
        given = {"web_config": web_config, "clusters": _ids(clusters)}
        where = listen or chosen.exporter.address
        bound = address(where)
        mine = chosen.exporter.model_copy(update={key: value for key, value in given.items() if value})
        source = stream.Source(
            _endpoint(endpoint or chosen.oned.endpoint or credentials.endpoint(paths)),
            _session(auth) if auth else credentials.session(paths),
            deadline=mine.deadline,
        )
        access = Access(mine.web_config)
        release = version("onext")
        fqdn = systemd_units.fqdn()
        collection = Collection(source, mine, parts or paths.metrics, version=release, server=fqdn)
        folder = (targets or chosen.targets.folder or paths.targets) if mine.http_sd else None
        site = Site(SingleFlight(collection), lambda: unready(source), release, folder, page(chosen.gateway))
    except (all_settings.SettingsError, WebConfigError, OnedError, OSError) as error:
        raise click.ClickException(str(error)) from error
    try:
        server = Server(bound, site, access)
    except OSError as error:
        raise click.ClickException(f"{where}: {error.strerror or error} (see exporter.listen)") from error
    if mine.push:
        _push(mine.push, site, fqdn)
    _serve(server, where)


def _push(settings: Push, site: Site, fqdn: str) -> None:
    """Begin to push; raise click.ClickException without the package that it needs."""
    try:
        from exporter.push import Pusher
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"exporter.push needs the Python package opentelemetry-proto, which is not here ({error.name});"
            " the extra `push` of onext has it"
        ) from error
    resource = {
        "service.name": "onext-exporter",
        "service.instance.id": fqdn,
        "service.version": site.version,
    }
    Pusher(settings, lambda: site.collect().text, resource).start()


def _serve(server: Server, listen: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    _log.info("listening on %s", listen)
    with server:
        server.serve_forever()
    os._exit(0)  # a power request that hangs in DNS must not keep the service from ending


def page(settings: Gateway) -> str:
    """Return the address of the gateway's page, empty where there is none."""
    scheme = "https" if settings.web_config else "http"
    return f"{scheme}://{settings.listen}/" if settings.enabled else ""


def unready(source: stream.Source) -> str:
    """Return why a scrape would not give OpenNebula's figures, empty when it would."""
    quick = stream.Source(source.endpoint, source.session, 2.0, 5.0, 5.0)
    try:
        for _ in stream.document(quick, "system.version"):
            pass
    except OnedError as error:
        return str(error)
    return ""


def address(listen: str) -> tuple[str, int]:
    """Return host and port of `address:port`; raise click.BadParameter otherwise."""
    host, _, port = listen.rpartition(":")
    if not re.fullmatch(ADDRESS, listen) or int(port) > 65535:
        raise click.BadParameter(
            f"{listen!r}: address:port is expected, as in 127.0.0.1:9925 or [::]:9925 (also exporter.listen)",
            param_hint="--listen",
        )
    return host.strip("[]"), int(port)


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url
    except ValueError:  # a port that is not a number
        pass
    raise click.BadParameter(
        f"{url!r}: an address as http://localhost:2633/RPC2 is expected (also oned.endpoint, ONE_XMLRPC)",
        param_hint="--endpoint",
    )


def _session(file: Path) -> str:
    """Return `user:password` from a file; raise click.BadParameter when it holds something else."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        text = ""
    if ":" not in text or "\n" in text:
        raise click.BadParameter(f"{file}: one line user:password is expected", param_hint="--auth")
    return text


def _ids(text: str | None) -> list[int]:
    try:
        return [int(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r}: ids of clusters, as in 100,101", param_hint="--clusters"
        ) from error


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


if __name__ == "__main__":
    main()
