"""What was placed, and what was there before: the record that an uninstall needs.

Standard library only. It is written before anything is changed, so that whatever ends an installation,
the next one and the uninstall know what may have been touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from onext import atomic
from onext.install.front_end import InstallError

FILE = "manifest.json"
ORIGINALS = "before"  # the folder of what was there before
_FORMAT = 1


@dataclass(frozen=True)
class Original:
    """What was at a path before onext: a file that was saved, a link, or a file that was moved aside."""

    saved: str = ""  # name in ORIGINALS
    link: str = ""  # where it pointed
    aside: str = ""  # the path that it has now
    mode: int = 0
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Placed:
    """A file of onext: the digest of the last written content, empty while that is not certain."""

    digest: str = ""
    original: Original | None = None
    keep: bool = False  # holds a person's work as soon as it is changed
    edit: str = ""  # a file of another program with lines of onext: the name of the editor


@dataclass(frozen=True)
class Manifest:
    """Files by their path, and the folders that we made, outermost first."""

    files: Mapping[str, Placed] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    wholly: tuple[str, ...] = ()  # those of the folders whose whole content is onext's

    @classmethod
    def load(cls, lib: Path) -> Manifest:
        """Read the manifest; an empty one when it is missing. Raise InstallError when it is broken."""
        try:
            document = json.loads((lib / FILE).read_bytes())
        except FileNotFoundError:
            return cls()
        except ValueError as error:
            raise InstallError(f"{lib / FILE}: not what install.sh wrote: {error}") from error
        if document.get("format") != _FORMAT:
            raise InstallError(f"{lib / FILE}: written by another version: use that one's install.sh")
        files = {path: _placed(entry) for path, entry in document["files"].items()}
        return cls(files, tuple(document["folders"]), tuple(document["wholly"]))

    def save(self, lib: Path) -> None:
        """Write the manifest where it changed."""
        document = {"format": _FORMAT, **asdict(self)}
        atomic.write(lib / FILE, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n", mode=0o644)

    def with_file(self, path: Path, placed: Placed) -> Manifest:
        """Return a manifest that holds this file."""
        return replace(self, files={**self.files, str(path): placed})

    def without(self, path: Path) -> Manifest:
        """Return a manifest that has forgotten this file or folder."""
        return replace(
            self,
            files={name: placed for name, placed in self.files.items() if name != str(path)},
            folders=tuple(name for name in self.folders if name != str(path)),
        )

    def with_folder(self, path: Path, *, wholly: bool) -> Manifest:
        """Return a manifest that records that onext made this folder."""
        return replace(
            self,
            folders=self.folders if str(path) in self.folders else (*self.folders, str(path)),
            wholly=tuple(sorted({*self.wholly, str(path)})) if wholly else self.wholly,
        )


def make_folder(lib: Path) -> None:
    """Make the folder that holds versions and manifest, and note which of its parents we made."""
    missing = [folder for folder in lib.parents if not folder.exists()]
    lib.mkdir(mode=0o755, parents=True, exist_ok=True)
    manifest = Manifest.load(lib)
    for folder in reversed(missing):
        manifest = manifest.with_folder(folder, wholly=False)
    manifest.with_folder(lib, wholly=True).save(lib)


def _placed(entry: Mapping[str, object]) -> Placed:
    original = entry["original"]
    return Placed(**{**entry, "original": Original(**original) if isinstance(original, dict) else None})  # type: ignore[arg-type]  # as written by save()
