"""Make the single file: `python3 -m edge.build [FILE]` writes onext-edge.pyz, the same bytes each time."""

import io
import os
import sys
import zipfile

_MAIN = b"import os, sys\n\nfrom edge.main import main\n\nos.umask(0o022)\nsys.exit(main())\n"
_FIRST_LINE = b"#!/usr/bin/env python3\n"
_LEFT_OUT = ("build.py",)
_STAMP = (2020, 1, 1, 0, 0, 0)


def content() -> bytes:
    """Return the program: a zip of this package behind a first line."""
    folder = os.path.dirname(os.path.abspath(__file__))
    names = sorted(n for n in os.listdir(folder) if n.endswith(".py") and n not in _LEFT_OUT)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(_entry("__main__.py"), _MAIN)
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                target.writestr(_entry("edge/" + name), file.read())
    return _FIRST_LINE + archive.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def write(path: str) -> None:
    """Write the program, executable."""
    with open(path, "wb") as file:
        file.write(content())
        os.fchmod(file.fileno(), 0o755)


if __name__ == "__main__":
    write(sys.argv[1] if len(sys.argv) > 1 else "onext-edge.pyz")
