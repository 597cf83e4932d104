"""The content of etc/oned.conf, read as oned reads it: in the syntax of its templates."""

from pathlib import Path

from sandbox.template import Template

_BUILT_IN = {"core", "public"}


class Configuration:
    """The file as a template, and what the sandbox asks of it. Read once, at the start, as oned does."""

    def __init__(self, path: Path) -> None:
        self.template = Template.parse(path.read_text(encoding="utf-8"))

    def number(self, name: str, default: int) -> int:
        """Return a number of the file."""
        return int(self.template.number(name, default))

    def restricted(self, kind: str) -> set[str]:
        """Return the attributes that only administrators may set (`VM`, `VNET`, `USER` …)."""
        values = self.template.attributes.get(f"{kind}_RESTRICTED_ATTR", [])
        return {value for value in values if isinstance(value, str)}

    @property
    def drivers(self) -> list[str] | None:
        """Return the authentication drivers of AUTH_MAD (`--authn`); None for all that are there."""
        named = next(iter(self.template.vectors("AUTH_MAD")), {}).get("AUTHN")
        return None if named is None else [driver.strip() for driver in named.split(",")]

    def driver(self, name: str, attribute: str, default: str) -> str:
        """Return an attribute of the driver's AUTH_MAD_CONF; the default without such an entry."""
        for entry in self.template.vectors("AUTH_MAD_CONF"):
            if entry.get("NAME") == name:
                return entry.get(attribute, default)
        return default

    def xml(self) -> str:
        """Return the answer of one.system.config."""
        return self.template.xml("OPENNEBULA_CONFIGURATION")
