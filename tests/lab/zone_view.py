"""One oned as the servers of a zone see it: each has a number and a state of its own, and the same documents."""

from __future__ import annotations

import http.client
import shutil
import threading
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from onext.oned.client import RaftState
from tests.fixtures_sandbox import Sandbox

_RAFT = "<RAFT><SERVER_ID>{number}</SERVER_ID><STATE>{state}</STATE><TERM>1</TERM></RAFT>"


class View(Sandbox):
    """A server of the zone; what is asked of it is answered by the sandbox, but for its own state."""

    def __init__(self, sandbox: Sandbox, number: int, state: RaftState, location: Path) -> None:
        self.number, self.state, self.location = number, state, location
        self.process, self.session, self._oned = sandbox.process, sandbox.session, sandbox.endpoint
        if location != sandbox.location:
            (location / "etc").mkdir(parents=True)
            shutil.copytree(sandbox.location / "var/.one", location / "var/.one")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/RPC2"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def reply(self, request: bytes) -> bytes:
        """Return the answer to a call."""
        if b"<methodName>one.zone.raftstatus</methodName>" in request:
            text = _RAFT.format(number=self.number, state=self.state.value)
            return xmlrpc.client.dumps(([True, text, 0],), methodresponse=True).encode()
        where = urlsplit(self._oned)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        connection.request("POST", where.path, request, {"Content-Type": "text/xml"})
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        view = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = view.reply(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
