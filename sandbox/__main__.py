"""`python -m sandbox --location DIR`: be a front-end until SIGTERM."""

import argparse
import json
import signal
import threading
from pathlib import Path

import sandbox.calls
from sandbox.frontend import FrontEnd, Pace
from sandbox.layout import Layout
from sandbox.population import populate
from sandbox.release import DEFAULT, RELEASES
from sandbox.rpc.dispatch import Dispatcher
from sandbox.rpc.server import Server

_POLL_SECONDS = 0.05  # between two checks whether to end


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    pace = Pace()
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A small OpenNebula front-end.")
    parser.add_argument(
        "--location", type=Path, required=True, help="ONE_LOCATION: created when it does not exist"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="of XML-RPC on loopback; 0 (default) takes a free one"
    )
    parser.add_argument(
        "--step", type=float, default=pace.step, help="seconds of one state of a life (%(default)s)"
    )
    parser.add_argument(
        "--monitor", type=float, default=pace.monitor, help="seconds between messages (%(default)s)"
    )
    parser.add_argument("--boot", type=float, default=pace.boot, help="seconds of a boot (%(default)s)")
    parser.add_argument("--hosts", type=int, default=0, help="begin with so many monitored hosts")
    parser.add_argument("--vms", type=int, default=0, help="begin with so many running VMs on them")
    parser.add_argument(
        "--release", choices=sorted(RELEASES), default=DEFAULT, help="of OpenNebula (%(default)s)"
    )
    return parser.parse_args()


def main() -> None:
    """Start, print the endpoint, and end everything on a signal."""
    options = arguments()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    layout = Layout(options.location.resolve())
    server = Server(options.port)
    layout.make(server.server_address[1], server.endpoint, options.release)
    pace = Pace(step=options.step, monitor=options.monitor, boot=options.boot)
    front = FrontEnd(layout, pace, RELEASES[options.release])
    server.answer = Dispatcher(front, sandbox.calls.CALLS).answer
    if options.hosts:
        populate(front, options.hosts, options.vms)
    front.start()
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="rpc", daemon=True).start()
    print(json.dumps({"endpoint": layout.endpoint, "location": str(layout.location)}), flush=True)  # noqa: T201  the line that reports that it is ready
    ended.wait()
    server.shutdown()
    front.stop()


if __name__ == "__main__":
    main()
