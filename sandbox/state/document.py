"""Documents: objects without a meaning for oned, of a type that their user chose."""

from dataclasses import dataclass
from typing import ClassVar

from sandbox.markup import tag
from sandbox.state.pool_object import PoolObject


@dataclass(kw_only=True)
class Document(PoolObject):
    """A document; several may have one name."""

    KIND: ClassVar[str] = "DOCUMENT"

    type: int

    def xml(self) -> str:
        """Return the document as one.document.info does."""
        return tag(
            "DOCUMENT",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + tag("TYPE", self.type)
            + self.permissions_xml()
            + self.lock_xml()
            + self.template.xml(),
        )
