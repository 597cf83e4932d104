"""Section `geolocation:` of the settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from onext.settings.section import Section


class MaxMind(Section):
    """An account of MaxMind's web service, asked where no database is there."""

    account_id: int = Field(description="account number")
    license_key_file: Path = Field(description="file that holds the licence key; root:oneadmin 0640")
    host: str = Field("geolite.info", description="`geolite.info`, or `geoip.maxmind.com` for paid accounts")


class Geolocation(Section):
    """Where hosts are."""

    database: Path | None = Field(None, description="an .mmdb file with cities; empty: the usual places")
    maxmind: MaxMind | None = Field(None, description="web service, used only where no database is found")
    largest_accuracy_radius: float = Field(
        500.0, gt=0, le=20_000, description="km; records of the database with a larger radius are not used"
    )
    ssh_config: Path | None = Field(None, description="an ssh_config file for `ssh -F`; empty: ssh's own")
    ssh_timeout: float = Field(
        10.0, gt=0, le=120, description="seconds to reach a host and list its addresses"
    )
    refresh_hours: float = Field(24.0, ge=1, description="hours until a located host is located again")
