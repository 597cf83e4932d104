"""An answer's values, checked before they become files and commands of root."""

import re
from ipaddress import ip_address
from typing import Any, Dict, List

from edge import overlay, word
from edge.errors import WrongServer
from edge.overlay import Pool

_KEY = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
_CA = re.compile(r"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}\Z")
_CERTIFICATE = re.compile(r"ssh-ed25519-cert-v01@openssh\.com [A-Za-z0-9+/=]{100,4000}\Z")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_SESSION = re.compile(r"[0-9a-f]{32}\Z")
_MOST = 5000
TEXTS = (("user_ca", _CA), ("host_ca", _CA), ("name", _NAME), ("session", _SESSION))


def checked(answer: Dict[str, Any]) -> Dict[str, Any]:
    """Return the part of an answer that is kept; raise WrongServer."""
    try:
        return _checked(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongServer(f"the front-end's answer is invalid: {error}") from None


def _checked(answer: Dict[str, Any]) -> Dict[str, Any]:
    kept: Dict[str, Any] = {name: word.checked(form, answer[name]) for name, form in TEXTS}
    pool = overlay.pool(answer["pool"])
    kept["pool"], kept["address"] = str(pool), _within(answer["address"], pool)
    kept["mtu"] = _number(answer["mtu"], 1280, 9000)
    kept["mtu_most"] = _number(answer.get("mtu_most", kept["mtu"]), kept["mtu"], 9000)
    kept["hubs"] = [_hub(item, pool) for item in _list(answer["hubs"], 32)]
    word.servers(answer["servers"])
    kept["servers"] = [[str(where), str(digest)] for where, digest in answer["servers"]]
    kept["hosts"] = [
        [_within(address, pool), word.checked(_NAME, name)] for address, name in _list(answer["hosts"], _MOST)
    ]
    kept["revoked"] = [word.checked(_CA, key) for key in _list(answer["revoked"], _MOST)]
    kept["revoked_hosts"] = [
        [word.checked(_NAME, name), word.checked(_CA, key)]
        for name, key in _list(answer.get("revoked_hosts", []), _MOST)
    ]
    kept["peers"] = [_peer(item, pool) for item in _list(answer.get("peers", []), 128)]
    kept["node_ports"] = [
        [_number(low, 1, 65535), _number(high, 1, 65535)]
        for low, high in _list(answer.get("node_ports", []), 64)
    ]
    if "answer_key" in answer:
        kept["key"] = word.checked(_HASH, answer["answer_key"])
    if "certificate" in answer:
        kept["certificate"] = word.checked(_CERTIFICATE, answer["certificate"])
        kept["days"] = _number(answer["days"], 1, 4000)
    return kept


def _hub(item: Dict[str, Any], pool: Pool) -> Dict[str, str]:
    word.split(item["endpoint"])
    return {
        "key": word.checked(_KEY, item["key"]),
        "endpoint": str(item["endpoint"]),
        "address": _within(item["address"], pool),
    }


def _peer(item: Dict[str, Any], pool: Pool) -> Dict[str, str]:
    host, port = word.split(item["endpoint"])
    address = ip_address(host)
    endpoint = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    return {
        "key": word.checked(_KEY, item["key"]),
        "endpoint": endpoint,
        "address": _within(item["address"], pool),
    }


def _within(text: object, pool: Pool) -> str:
    return str(overlay.within(text, pool))


def _number(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"a number is not from {low} to {high}")
    return value


def _list(value: object, most: int) -> List[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("a list is missing or too long")
    return value
