"""Which parts there are, and where: the worker's half of the composition root."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from onext.part import Part

PARTS = {
    "geolocation": "hooks.geolocation.part",
    "targets": "hooks.targets.part",
    "power": "hooks.power.part",
    "availability": "hooks.availability.part",
    "events": "hooks.events.part",
    "gateway": "gateway.part",
    "edge": "hooks.edge.part",
}


def installed() -> Iterator[Part]:
    """Return the parts that are here; a workstation has none, a front-end those that install.sh placed."""
    for module in PARTS.values():
        try:
            yield importlib.import_module(module).PART
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise
