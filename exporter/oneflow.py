"""OneFlow's services: documents of type 100, whose body is JSON that their owners may change."""

from __future__ import annotations

import json
from collections.abc import Iterable

from exporter.collected import Collected, label, whole
from onext.oned.elements import children, text
from onext.oned.errors import Malformed

DOCUMENT_TYPE = 100
_LARGEST = 4_000_000  # bytes of a body
_STATES = 100  # oned's OneFlow has 16, from 0 on


def read(elements: Iterable[bytes]) -> Collected:
    """Return the metrics of every `<DOCUMENT>` that is a service; one without a readable state is counted."""
    found = Collected()
    states, infos = list[tuple[int, int]](), list[tuple[int, bytes]]()
    for element in elements:
        try:
            fields = dict(children(element[len("<DOCUMENT>") : -len("</DOCUMENT>")]))
            service, state = whole(fields[b"ID"]), _state(fields[b"TEMPLATE"])
            if service is None:
                found.errors += 1
                continue
            states.append((service, state))
            names = (label(fields.get(tag, b"")) for tag in (b"NAME", b"UNAME", b"GNAME"))
            infos.append((service, b'name="%b",user="%b",group="%b"' % tuple(names)))
        except (ValueError, KeyError, RecursionError, Malformed):
            found.errors += 1
    found.samples.table("opennebula_service_state", b'{one_service_id="%d"} %d', states)
    found.samples.table("opennebula_service_info", b'{one_service_id="%d",%b} 1', infos)
    return found


def _state(template: bytes) -> int:
    """Return the number of a service's state; raise ValueError or KeyError."""
    body = dict(children(template))[b"BODY"]
    if len(body) > _LARGEST:
        raise ValueError(f"a service of more than {_LARGEST} bytes")
    document = json.loads(text(body))
    state = document["state"] if isinstance(document, dict) else None
    if isinstance(state, bool) or not isinstance(state, int) or not 0 <= state < _STATES:
        raise ValueError("a service without a state")
    return state
