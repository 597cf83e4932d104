"""Incidents and what people decided, as documents of oneadmin (onext.oned.documents).

The whole incident is compressed JSON in a few values, because a template has no lists; PHASE and HOST are
there for people. Decoding is bounded. Any doubt makes a record invalid, and an invalid record authorises
nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum

from pydantic import TypeAdapter

from hooks.availability.model import Incident
from onext.hosts import orders
from onext.hosts.orders import Order
from onext.oned.documents import Kind

_LARGEST = 1_048_576  # bytes of JSON: about 5,000 VMs
_CHUNK = 12_000
_LATEST, _LONGEST = 1e12, 1000
_ADAPTER = TypeAdapter(Incident)


def encode(incident: Incident) -> Mapping[str, str]:
    """Return the values of a document."""
    text = json.dumps(asdict(incident), separators=(",", ":"), default=_plain)
    packed = base64.b64encode(zlib.compress(text.encode())).decode()
    chunks = [packed[start : start + _CHUNK] for start in range(0, len(packed), _CHUNK)]
    named = {f"BODY{number}": chunk for number, chunk in enumerate(chunks)}
    return {"PHASE": incident.phase.value, "HOST": str(incident.host), **named}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(type(value).__name__)


def decode(values: Mapping[str, str]) -> Incident:
    """Read the values of a document; raise ValueError or KeyError for what is not an incident."""
    packed = values["BODY0"] + "".join(values[f"BODY{number}"] for number in range(1, _count(values)))
    try:
        text = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), _LARGEST)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"its body cannot be read: {error}") from error
    incident = _ADAPTER.validate_json(text, strict=True)
    shown = (str(incident.host), incident.phase.value)
    if shown != (values["HOST"], values["PHASE"]) or not _in_range(incident):
        raise ValueError("its values contradict each other or are out of range")
    return incident


def _count(values: Mapping[str, str]) -> int:
    return next(number for number in range(len(values) + 1) if f"BODY{number}" not in values)


def _in_range(incident: Incident) -> bool:
    times = [incident.first, incident.since, incident.fenced, *(one.started for one in incident.entries)]
    texts = [incident.name, incident.reason, incident.error, incident.proof, incident.confirmed]
    texts += [*incident.alarms, *(one.reason for one in incident.entries)]
    vms = [one.vm for one in incident.entries]
    finite = len(vms) == len(set(vms)) and all(math.isfinite(time) and 0 <= time <= _LATEST for time in times)
    return finite and all(len(text) <= _LONGEST for text in texts) and incident.host >= 0


INCIDENT: Kind[Incident] = Kind("incident", encode, decode)


CONFIRMATION: Kind[Order] = Kind("confirm", orders.encode, orders.decode)  # by host
PAUSE: Kind[Order] = Kind("pause", orders.encode, orders.decode)  # by cluster
