"""The administrator's settings, `/etc/one/onext.yaml`: read whole, checked whole."""

from __future__ import annotations

import stat
from pathlib import Path

from pydantic import Field, ValidationError

from onext import bounds, yaml_text
from onext.settings.availability import Availability
from onext.settings.balance import Balance
from onext.settings.complaint import complaints
from onext.settings.edge import Edge
from onext.settings.events import Events
from onext.settings.exporter import Exporter
from onext.settings.gateway import Gateway
from onext.settings.geolocation import Geolocation
from onext.settings.power import Power
from onext.settings.section import Section
from onext.settings.targets import Targets


class OnedAccess(Section):
    """How the worker and the commands reach oned."""

    endpoint: str | None = Field(
        None, description="XML-RPC address; empty: ONE_XMLRPC, else oned.conf's PORT"
    )
    timeout: float = Field(30.0, gt=0, le=600, description="seconds for one call, answer included")


class Settings(Section):
    """Everything that can be set."""

    oned: OnedAccess = OnedAccess()
    geolocation: Geolocation = Geolocation()
    targets: Targets = Targets()
    exporter: Exporter = Exporter()
    power: Power = Power()
    availability: Availability = Availability()
    balance: Balance = Balance()
    events: Events = Events()
    gateway: Gateway = Gateway()
    edge: Edge = Edge()


class SettingsError(Exception):
    """The settings cannot be used; the message names file, line, key, and what was expected."""


def load(file: Path) -> Settings:
    """Read the settings; a file that is not there means the defaults. Raise SettingsError."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > yaml_text.LARGEST:
            raise SettingsError(f"{file}: not a regular file of at most {yaml_text.LARGEST} bytes")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from error
    try:
        document = yaml_text.load(text)
    except yaml_text.InvalidYaml as error:
        raise SettingsError(f"{file}:{error}") from error
    try:
        return Settings.model_validate({} if document is None else document)
    except ValidationError as error:
        raise SettingsError("\n".join(complaints(file, document, Settings, error))) from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:  # a validator's own fault
        raise SettingsError(f"{file}: {type(error).__name__}: {bounds.words(str(error), 200)}") from error
