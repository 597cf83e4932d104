"""Which zone of a federation this is: asked until it is known, then never again."""

from __future__ import annotations

from urllib.parse import urlsplit

from onext.oned import stream
from onext.oned.elements import children, text
from onext.oned.errors import OnedError


class Zone:
    """The zone whose endpoint we ask; without a federation the only one."""

    def __init__(self, source: stream.Source) -> None:
        self._source = source
        self._name = ""

    @property
    def name(self) -> str:
        """The zone's name, empty while oned does not say, or where no endpoint is ours."""
        if not self._name:
            try:
                self._name = self._ask()
            except (OnedError, ValueError):  # a port that is no number
                return ""
        return self._name

    def _ask(self) -> str:
        zones = [
            (text(fields.get(b"NAME", b"")), _endpoint(fields.get(b"TEMPLATE", b"")))
            for element in stream.pool(self._source, "zonepool.info", tag="ZONE")
            for fields in [dict(children(element[len("<ZONE>") : -len("</ZONE>")]))]
        ]
        ours = [name for name, endpoint in zones if _same(endpoint, self._source.endpoint)]
        return zones[0][0] if len(zones) == 1 else "".join(ours[:1])


def _endpoint(template: bytes) -> str:
    return text(dict(children(template)).get(b"ENDPOINT", b""))


def _same(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    return (first.hostname, first.port) == (second.hostname, second.port)
