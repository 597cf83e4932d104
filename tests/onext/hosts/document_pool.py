"""oned's documents, played in memory: what Documents calls, and what it answers."""

import re
from xml.sax.saxutils import escape

from onext.oned.documents import TYPE
from onext.oned.errors import NotFound, Refused
from onext.xml import Element, parse

_PAIR = re.compile(r'^([A-Z0-9_]+)="((?:[^"\\]|\\")*)"$', re.MULTILINE)
_BITS = "<OWNER_U>1</OWNER_U><OWNER_M>1</OWNER_M>" + "".join(
    f"<{who}>0</{who}>"
    for who in ("OWNER_A", "GROUP_U", "GROUP_M", "GROUP_A", "OTHER_U", "OTHER_M", "OTHER_A")
)


class DocumentPool:
    """Documents of oneadmin by id: name and values."""

    def __init__(self) -> None:
        self.documents: dict[int, tuple[str, dict[str, str]]] = {}
        self.locked: set[int] = set()

    def answers(self, method: str) -> bool:
        """Return whether it plays this call."""
        return method.startswith("document")

    def document(self, method: str, *arguments: object) -> Element:
        """Return the answer of a call that has one."""
        if method == "documentpool.info":
            return parse(f"<DOCUMENT_POOL>{''.join(map(self._xml, self.documents))}</DOCUMENT_POOL>")
        return parse(self._xml(self._known(arguments[0])))

    def call(self, method: str, *arguments: object) -> int:
        """Do what a call orders."""
        if method == "document.allocate":
            values = dict(_PAIR.findall(str(arguments[0])))
            number = max(self.documents, default=0) + 1
            self.documents[number] = (values.pop("NAME"), values)
            return number
        number = self._known(arguments[0])
        if method == "document.lock":
            if number in self.locked:
                raise Refused("locked")
            self.locked.add(number)
        elif method == "document.unlock":
            self.locked.discard(number)
        elif method == "document.update":
            self.documents[number] = (self.documents[number][0], dict(_PAIR.findall(str(arguments[1]))))
        elif method == "document.delete":
            del self.documents[number]
        return number

    def _known(self, number: object) -> int:
        assert isinstance(number, int)
        if number not in self.documents:
            raise NotFound(f"no document {number}")
        return number

    def _xml(self, number: int) -> str:
        name, values = self.documents[number]
        template = "".join(f"<{key}>{escape(text)}</{key}>" for key, text in values.items())
        return (
            f"<DOCUMENT><ID>{number}</ID><UID>0</UID><NAME>{name}</NAME><TYPE>{TYPE}</TYPE>"
            f"<PERMISSIONS>{_BITS}</PERMISSIONS><TEMPLATE>{template}</TEMPLATE></DOCUMENT>"
        )
