"""`python -m sandbox.tour`: install the bundle into a sandbox and show what each part does, with values.

It starts what is installed and speaks XML-RPC; it imports nothing of the bundle.
"""

import argparse
import hashlib
import importlib
import sys
from pathlib import Path

from sandbox.tour import front_end, tell
from sandbox.tour.stage import CHECKOUT, Stage, TourError

# In the order in which they are shown; a scene without its part is left out, with a message.
SCENES = (
    "geolocation",
    "prometheus",
    "exporter",
    "biscuit",
    "migrate",
    "power",
    "availability",
    "edge",
    "gateway",
)
# What begins before a scene, and is shown later: a scene and its function
EARLY = {
    "prometheus": ("availability", "prepare"),
    "exporter": ("edge", "prepare"),
    "migrate": ("edge", "begin"),
    "power": ("availability", "begin"),
}

_OTHERS = ("nodes", "bmc", "ssh_config", "etc/onext.yaml", "var/oned.log", "var/.one")


def main() -> None:
    """Show everything; exit with 0, or with 1 and the reason when something did not happen."""
    options = _options()
    stage = Stage()
    kept = False
    try:
        tour(stage, options.offline)
        kept = options.keep
        if kept:
            _how_to_use(stage)
        else:
            _uninstall(stage)
    except TourError as error:
        sys.exit(f"the tour ends here: {error}")
    finally:
        if not kept:
            stage.end()


def tour(stage: Stage, wheels: Path) -> None:
    """Start, install, play every scene."""
    stage.start()
    tell.chapter(f"A sandbox, a small stand-in for OpenNebula, below ONE_LOCATION={stage.location}")
    front_end.prepare(stage)
    stage.before = _tree(stage.location)
    stage.stop()
    tell.chapter("./install.sh --configure --yes, while oned is down: places the files, changes oned.conf")
    tell.indented(stage.install_sh("--offline", str(wheels), "--configure", "--yes"))
    stage.start()
    front_end.prepare(stage)
    tell.chapter(f"oned runs, at {stage.endpoint}; ./install.sh once more registers the hooks")
    tell.indented(stage.install_sh("--offline", str(wheels)))
    for name in SCENES:
        if name in EARLY:
            _play(stage, *EARLY[name])
        _play(stage, name)
    tell.chapter("./install.sh --check")
    tell.indented(stage.run(str(CHECKOUT / "install.sh"), "--check", check=False))


def _play(stage: Stage, name: str, act: str = "play") -> None:
    try:
        scene = importlib.import_module(f"sandbox.tour.scenes.{name}")
    except ModuleNotFoundError:
        return
    if stage.installed(scene.NEEDS):
        getattr(scene, act)(stage)
    else:
        tell.chapter(f"{name}: not installed ({scene.NEEDS} not found), skipped")


def _uninstall(stage: Stage) -> None:
    tell.chapter("./install.sh --uninstall")
    tell.indented(stage.install_sh("--uninstall", "--backup", str(stage.folder / "settings.tar.gz")))
    left = _tree(stage.location).items() ^ stage.before.items()
    if left:
        raise TourError(f"the front-end is not as it was: {sorted({name for name, _ in left})}")
    tell.line(f"    {len(stage.before)} files and folders of the front-end are as before, byte for byte")


def _how_to_use(stage: Stage) -> None:
    script = stage.leave()
    tell.chapter("The sandbox keeps running. To use it:")
    for name in ("ONE_LOCATION", "ONE_XMLRPC", "ONE_AUTH"):
        tell.line(f"    export {name}={stage.env[name]}")
    tell.line(f"    export PATH={stage.location / 'bin'}:$PATH")
    tell.line("    onext status; onext doctor; onext geo show")
    tell.line("    (doctor names hosts without a public address, and services that do not run here)")
    if stage.page:
        tell.line(f"    {stage.page} (user oneadmin, the password is in $ONE_AUTH)")
    tell.line(f"To end it, and remove everything: {script}")


def _tree(location: Path) -> dict[str, str]:
    """Return every file with its mode, owner and content, but for what the sandbox or a person writes."""
    found = {str(path.relative_to(location)): _described(path) for path in location.rglob("*")}
    return {name: what for name, what in found.items() if not name.startswith(_OTHERS)}


def _described(path: Path) -> str:
    found = path.lstat()
    content = str(path.readlink()) if path.is_symlink() else ""
    if path.is_file() and not path.is_symlink():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{found.st_mode:o} {found.st_uid}:{found.st_gid} {content}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.tour", description=__doc__)
    parser.add_argument("--offline", type=Path, required=True, help="folder with the wheels of all packages")
    parser.add_argument("--keep", action="store_true", help="leave it running")
    return parser.parse_args()


if __name__ == "__main__":
    main()
