"""Folders that earlier versions made as root below oneadmin's: they become oneadmin's.

Root used to own what it placed in the remotes. Now the owner of a folder owns its content, so that
root has nothing to do there. A folder changes its owner only when it holds nothing but what an installation
placed, byte for byte: anything else may be root's own, moved there to be given away.
"""

from __future__ import annotations

from pathlib import Path

from onext.install.manifest import Manifest
from onext.install.safe_files import FOLDER, SafeFiles


def correct_owners(manifest: Manifest, files: SafeFiles) -> None:
    """Give every such folder of the manifest to the account that controls its parent, outermost first."""
    for folder in sorted(map(Path, manifest.folders), key=lambda path: len(path.parts)):
        controller = files.controller(folder)
        if controller is None:
            continue
        found = files.inspect(folder)
        if found is not None and found.kind == FOLDER and found.owner.uid == 0:
            files.give_folder(folder, controller, _content(folder, manifest))


def _content(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Return what an installation placed in a folder: digests of files, and folders."""
    files = {Path(name): placed.digest for name, placed in manifest.files.items()}
    folders = {Path(name): FOLDER for name in manifest.folders}
    return {path.name: what for path, what in {**files, **folders}.items() if path.parent == folder}
