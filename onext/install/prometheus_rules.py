"""OpenNebula's alert rules without those that onext replaces: text in, text out.

The others stay as they are, also where an administrator changed or added some.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from onext import yaml_text
from onext.install.front_end import InstallError

# onext's know the tenants' job, and hosts that are switched off on purpose (exporter/rules/onext.rules.yml).
REPLACED = frozenset({"InstanceDown", "HostDown", "LibvirtDown", "VMPending", "RebootInLast5Minutes"})
_HEAD = "# Made by `install.sh --configure` of {}: changes belong there.\n"


def without_replaced(text: str, source: str) -> str:
    """Return the rules of `text` (the file `source`) that are not replaced; raise InstallError."""
    yaml = YAML()
    yaml.width = 4096
    try:
        yaml_text.load(text)  # bounds what an account that is not root may have written
        document: Any = yaml.load(text)
        for group in document["groups"]:
            group["rules"] = [rule for rule in group["rules"] or [] if rule.get("alert") not in REPLACED]
        document["groups"] = [group for group in document["groups"] if group["rules"]]
    except (YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InstallError(f"{source} holds no rules of Prometheus: {error}") from error
    stream = io.StringIO()
    yaml.dump(document, stream)
    return _HEAD.format(source) + stream.getvalue()
