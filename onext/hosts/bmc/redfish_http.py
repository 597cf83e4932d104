"""HTTP to one Redfish BMC: one address, one login, bounded answers. Runs in the child only.

The address is that of bmc.yaml, always: links and redirects to any other one are refused, so that a BMC that
was taken over cannot have the password sent anywhere. Each request is authenticated by itself: BMCs have room
for a few sessions only, and forget to end them.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util.ssl_match_hostname import CertificateError

from onext import bounds
from onext.hosts.bmc.errors import (
    BmcError,
    InvalidAnswer,
    MissingPrivilege,
    Refused,
    TimedOut,
    TlsFailed,
    Unreachable,
    WrongCertificate,
    WrongPassword,
)
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.redfish_json import Object

_CONNECT_TIMEOUT, _READ_TIMEOUT = 4.0, 15.0  # seconds; the whole session ends with the process
_LARGEST = 2_000_000  # bytes of an answer
_MOST_REQUESTS, _MOST_REDIRECTS = 100, 4
_REDIRECTS = (301, 302, 303, 307, 308)
_SHOWN = 200  # characters of what a BMC explains
_LEGACY_CONNECT = 0x4  # ssl.OP_LEGACY_SERVER_CONNECT, which Python names since 3.12
_LEGACY_CIPHERS = "ALL:!aNULL:!eNULL:@SECLEVEL=0"
_SEEN_PIN = re.compile(r'got "([0-9a-f]{64})"')  # urllib3's words for another fingerprint


class Connection:
    """Requests to the BMC of a job. Every method raises BmcError."""

    def __init__(self, job: Job) -> None:
        literal = f"[{job.address}]" if ":" in job.address else job.address
        self._address, self._port = ip_address(job.address), job.port
        self._origin = f"https://{literal}:{job.port}"
        self._requests = 0
        self._session = requests.Session()
        self._session.adapters.clear()
        self._session.mount("https://", _Adapter(job))
        self._session.trust_env = False  # no proxy, no .netrc
        self._session.verify = job.pin is None
        self._session.auth = HTTPBasicAuth(job.user.encode(), job.password.encode())
        self._session.headers.update({"Accept": "application/json", "OData-Version": "4.0"})

    def get(self, link: object) -> Object:
        """Return the object at a link: a path, or an address of this BMC."""
        path, status, body = self._followed("GET", link)
        try:
            found = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise InvalidAnswer(f"it answers {path} with status {status} and text that is not JSON") from None
        if not isinstance(found, dict):
            raise InvalidAnswer(f"it answers {path} with JSON that is not an object")
        return found

    def optional(self, link: object, notes: list[str]) -> Object:
        """Return the object at a link, an empty one where it is unavailable; append the reason to `notes`."""
        try:
            return self.get(link)
        except (Refused, InvalidAnswer, MissingPrivilege) as error:
            notes.append(str(error))
            return {}

    def post(self, link: object, body: Mapping[str, str]) -> None:
        """Post an object; return when the BMC accepted it."""
        self._followed("POST", link, json.dumps(body).encode())

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def _followed(self, method: str, link: object, data: bytes | None = None) -> tuple[str, int, bytes]:
        """Return path, status and body of a 2xx answer, after redirects to this same address."""
        path = self._path("/", link)
        for _ in range(_MOST_REDIRECTS + 1):
            status, headers, body = self._exchange(method, path, data)
            location = headers.get("Location")
            if status in _REDIRECTS and location and not (status == 303 and data is not None):
                path = self._path(path, location)
                continue
            if 200 <= status < 300:
                return path, status, body
            raise _refusal(status, path, body)
        raise Refused(f"it redirects {path} more than {_MOST_REDIRECTS} times")

    def _path(self, base: str, link: object) -> str:
        """Return path and query of a link; raise Refused for one to any other address."""
        if (
            not isinstance(link, str)
            or not 0 < len(link) <= 1024
            or not link.isascii()
            or not link.isprintable()
        ):
            raise InvalidAnswer("it names a link that is not an address")
        try:
            found = urlsplit(urljoin(self._origin + base, link))
            same = (found.scheme, found.port or 443) == ("https", self._port)
            same = same and found.username is None and ip_address(found.hostname or "") == self._address
        except ValueError:  # a name, which another address may have, or not an address at all
            same = False
        if not same:
            shown = bounds.words(link.partition("?")[0].rpartition("@")[2], 100)
            raise Refused(f"it points to {shown}, which is another address: no password is sent there")
        path = found.path if found.path.startswith("/") else f"/{found.path}"
        return f"{path}?{found.query}" if found.query else path

    def _exchange(self, method: str, path: str, data: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        self._requests += 1
        if self._requests > _MOST_REQUESTS:
            raise Refused(f"it needs more than {_MOST_REQUESTS} requests for one question")
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            with self._session.request(
                method,
                self._origin + path,
                data=data,
                headers=headers,
                timeout=(_CONNECT_TIMEOUT, _READ_TIMEOUT),
                allow_redirects=False,
                stream=True,
            ) as answer:
                return answer.status_code, answer.headers, _read(answer, path)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _failure(error) from error


class _Adapter(HTTPAdapter):
    """TLS as an entry asks for: a pinned certificate, an authority's, or this machine's authorities."""

    def __init__(self, job: Job) -> None:
        self._job = job
        try:
            self._context = _context(job)
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "no certificate in it"
            raise WrongCertificate(f"ca_file {job.ca_file} cannot be used: {why}") from None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **_: Any) -> None:  # noqa: ANN401, FBT001, FBT002 - requests' signature
        """Make connections with our context."""
        name = self._job.certificate_name
        names = {"server_hostname": name, "assert_hostname": name} if name else {}
        pin = {"assert_fingerprint": self._job.pin} if self._job.pin else {}
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **names, **pin)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ANN401
        """Leave trust to our context: requests would add the authorities that it ships."""


def _context(job: Job) -> ssl.SSLContext:
    # With a file this trusts what is in it and nothing else.
    context = ssl.create_default_context(cafile=job.ca_file)
    if job.legacy_tls:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers(_LEGACY_CIPHERS)
        context.options |= _LEGACY_CONNECT
    if job.pin:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # urllib3 compares the fingerprint before it sends anything
    return context


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _read(answer: requests.Response, path: str) -> bytes:
    body = bytearray()
    for piece in answer.iter_content(16_384):
        body += piece
        if len(body) > _LARGEST:
            raise InvalidAnswer(f"its answer to {path} has more than {_LARGEST} bytes")
    return bytes(body)


def _refusal(status: int, path: str, body: bytes) -> BmcError:
    """Return what a status and the explanation beside it (DSP0266, 8.6) mean."""
    names, text = _explained(body)
    because = f" ({text})" if text else ""
    if any(name.endswith("PasswordChangeRequired") for name in names):
        return WrongPassword("it wants the password of this user changed before anything else")
    forbidden = status == 403 or any(name.endswith("InsufficientPrivilege") for name in names)
    if forbidden and status in (400, 401, 403, 404):
        return MissingPrivilege(
            f"it accepts the login and forbids {path} with status {status}{because}: "
            "give this user the role of an operator"
        )
    if status == 401:
        return WrongPassword("it rejects this user and password: correct them in bmc.yaml")
    if status in (429, 503):
        return Refused(f"it is busy, {path} has status {status}{because}: try again later")
    return Refused(f"it answers {path} with status {status}{because}")


def _explained(body: bytes) -> tuple[list[str], str]:
    """Return the ids and the first text of the messages in an error's body."""
    try:
        found = json.loads(body[:65536])["error"]
        messages: Sequence[Any] = found.get("@Message.ExtendedInfo") or []
        messages = [one for one in messages if isinstance(one, dict)]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return [], ""
    names = [str(one.get("MessageId", "")) for one in messages]
    texts = [one.get("Message") for one in messages] + [found.get("message")]
    return names, bounds.words(next((text for text in texts if isinstance(text, str)), ""), _SHOWN)


def _failure(error: BaseException) -> BmcError:
    """Return what the innermost causes of an error of requests mean."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls(cause)
        if isinstance(cause, CertificateError):
            return WrongCertificate(f"its certificate is for another name: {bounds.words(str(cause), 100)}")
        if isinstance(cause, urllib3.exceptions.SSLError) and "ingerprint" in str(cause):
            seen = _SEEN_PIN.search(str(cause))
            return WrongCertificate(
                f"its certificate has the SHA-256 {seen[1] if seen else 'of another'}, bmc.yaml pins another"
            )
    return _broken(causes)


def _broken(causes: Sequence[BaseException]) -> BmcError:
    """Return what the causes of a connection without an answer mean."""
    system = next((one for one in causes if isinstance(one, OSError) and one.strerror and one.errno), None)
    if system:
        return Unreachable(f"no connection: {system.strerror}")
    if any(isinstance(one, (TimeoutError, urllib3.exceptions.TimeoutError)) for one in causes):
        return TimedOut("it does not answer in time")
    if any(isinstance(one, http.client.RemoteDisconnected) for one in causes):
        return Unreachable("it ends the connection without an answer")
    if any(isinstance(one, (http.client.HTTPException, urllib3.exceptions.HTTPError)) for one in causes):
        return InvalidAnswer(f"its answer is damaged, truncated or not HTTP ({type(causes[-1]).__name__})")
    return Unreachable(f"no connection ({type(causes[-1]).__name__})")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that is below it, wherever requests and urllib3 keep it."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen or len(seen) > 100:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _tls(error: ssl.SSLError) -> BmcError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = bounds.words(error.verify_message, 100)
        return WrongCertificate(
            f"its certificate is not trusted ({why}): pin it as `certificate`, or set `ca_file`"
        )
    reason = (error.reason or "").replace("_", " ").lower() or "connection ended in the handshake"
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return TlsFailed(f"no TLS on this port ({reason}): is `port` that of Redfish?")
    return TlsFailed(f"no TLS connection ({reason}): for old firmware set `tls: legacy` in bmc.yaml")
