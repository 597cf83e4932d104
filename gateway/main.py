"""The command of the unit onext-gateway: settings in, a server until SIGTERM."""

from __future__ import annotations

import logging
import re
import sys
from importlib.metadata import version
from pathlib import Path

import click

from gateway import credentials
from gateway.actions.socket_place import place as orders_socket
from gateway.app import Deployment, application
from gateway.credentials import Credential
from gateway.refusals import Refusal
from gateway.server import Certificates, server
from onext import published
from onext import settings as all_settings
from onext.oned import credentials as oned_credentials
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.exporter import ADDRESS
from onext.webconfig import WebConfigError


@click.command()
@click.option("--settings", type=click.Path(path_type=Path), help="The settings; default: onext.yaml.")
@click.option("--endpoint", help="XML-RPC address of oned; default: the settings', else ONE_XMLRPC.")
@click.option("--listen", help="address:port; default: the settings'.")
@click.option("--published", "folder", type=click.Path(path_type=Path), help="Folder of the worker's data.")
@click.option("--worker", type=click.Path(path_type=Path), help="The worker's socket for orders.")
@click.option("--targets", type=click.Path(path_type=Path), help="Folder of targets.")
def main(
    settings: Path | None,
    endpoint: str | None,
    listen: str | None,
    folder: Path | None,
    worker: Path | None,
    targets: Path | None,
) -> None:
    """Serve the API, the page and the guarded XML-RPC."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    paths = Paths.find()
    try:
        chosen = all_settings.load(settings or paths.settings)
        certificates = Certificates.load(chosen.gateway.web_config)
        deployment = Deployment(
            chosen.gateway,
            endpoint or chosen.oned.endpoint or oned_credentials.endpoint(paths),
            chosen.oned.timeout,
            folder or published.folder(paths),
            targets or chosen.targets.folder or paths.targets,
            version("onext"),
            _public(chosen),
            tls=certificates is not None,
            scoped_key=_scoped_key(chosen),
            worker=worker or orders_socket(paths),
            follow=certificates.renew if certificates else lambda: None,
        )
    except (all_settings.SettingsError, WebConfigError, OSError) as error:
        raise click.ClickException(str(error)) from error
    where = listen or chosen.gateway.listen
    running = server(application(deployment), address(where), chosen.gateway.connections, certificates)
    logging.getLogger("onext.gateway").info("listening on %s", where)
    running.run()
    if not running.started:
        raise click.ClickException(f"{where}: cannot be listened on (see gateway.listen)")


def address(listen: str) -> tuple[str, int]:
    """Return host and port of `address:port`; raise click.BadParameter otherwise."""
    host, _, port = listen.rpartition(":")
    if not re.fullmatch(ADDRESS, listen) or int(port) > 65535:
        raise click.BadParameter(f"{listen!r}: address:port is expected", param_hint="--listen")
    return host.strip("[]"), int(port)


def _scoped_key(chosen: Settings) -> str:
    """Return the private key that vouches, empty for none; raise OSError or click.ClickException."""
    file = chosen.gateway.scoped_key
    if file is None:
        return ""
    try:
        from gateway.vouching import public_of

        key = file.read_text(encoding="ascii").strip()
        public_of(key)
    except ImportError as error:
        raise click.ClickException("gateway.scoped_key needs the Python package biscuit-python") from error
    except ValueError as error:
        raise click.ClickException(f"{file}: an ed25519 key of `onext biscuit keygen` is expected") from error
    return key


def _public(chosen: Settings) -> Credential | None:
    """Return the credential of the public view; raise OSError or click.ClickException."""
    file = chosen.gateway.public_auth
    if file is None:
        return None
    try:
        return credentials.of_session(file.read_text(encoding="utf-8").strip())
    except (Refusal, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: one line user:password is expected") from error


if __name__ == "__main__":
    main()
