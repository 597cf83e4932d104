"""Whether a host's libvirt answers over the network, where it listens there (TLS or TCP), without a login.

A daemon that answers shows that the host runs, also where its sshd does not. Most hosts do not listen: a
refused connection shows nothing, because the kernel refuses while no process works.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress

from hooks.availability.evidence import Evidence, Finding, Source

TIMEOUT = 3.0  # seconds for both ports together
TLS, TCP = 16514, 16509
_PROGRAM, _VERSION, _AUTH_LIST, _CALL = 0x20008086, 1, 66, 0  # of remote_protocol.x
_HEADER = struct.Struct(">7I")  # length, program, version, procedure, type, serial, status
_HANDSHAKE, _ALERT = 0x16, 0x15  # records of TLS


def asked(address: str, ports: Mapping[int, bool] | None = None) -> Evidence:
    """Return what a host's libvirt shows; `ports` tells of each port whether it speaks TLS."""
    found = asyncio.run(_all(address, ports or {TLS: True, TCP: False}))
    for finding in (Finding.ALIVE, Finding.SILENT):
        if finding in found.values():
            port = next(port for port, one in found.items() if one is finding)
            return Evidence(Source.LIBVIRT, finding, detail=f"port {port}")
    return Evidence(Source.LIBVIRT, Finding.UNKNOWN, detail="it does not listen on the network")


async def _all(address: str, ports: Mapping[int, bool]) -> dict[int, Finding]:
    findings = await asyncio.gather(*(_one(address, port, tls=tls) for port, tls in ports.items()))
    return dict(zip(ports, findings, strict=True))


async def _one(address: str, port: int, *, tls: bool) -> Finding:
    question, size, known = (_hello(), 5, _is_tls) if tls else (_list_of_methods(), 12, _is_libvirt)
    try:
        start = await asyncio.wait_for(_answer(address, port, question, size), TIMEOUT)
    except ConnectionRefusedError:
        return Finding.UNKNOWN
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return Finding.SILENT
    return Finding.ALIVE if known(start) else Finding.UNKNOWN


async def _answer(address: str, port: int, question: bytes, size: int) -> bytes:
    """Return the first bytes of the answer."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(question)
        return await reader.readexactly(size)
    finally:
        writer.close()


def _list_of_methods() -> bytes:
    """Return the call that a client makes before any login."""
    return _HEADER.pack(_HEADER.size, _PROGRAM, _VERSION, _AUTH_LIST, _CALL, 0, 0)


def _is_libvirt(start: bytes) -> bool:
    length, program, _ = struct.unpack(">3I", start)
    return bool(length >= _HEADER.size and program == _PROGRAM)


def _hello() -> bytes:
    """Return the first message of a TLS client; nothing is sent after it: no certificate is needed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    return sent.read()


def _is_tls(start: bytes) -> bool:
    return start[0] in (_HANDSHAKE, _ALERT) and start[1] == 3
