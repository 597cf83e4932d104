"""`make live`, second half: our client with each release of pyone, in an environment of its own.

Prints one line per release. The tests of onext.oned run with each; where the environment names a front-end, so do
those that write and read templates on it with both clients.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSIONS = ("7.0.2", "7.2.0", "7.3.80")
_MISSING = {"7.2.0": ("six",)}  # what a release imports and does not require


def main() -> int:
    """Test every version; return 1 where one failed."""
    failed = [version for version in VERSIONS if not passes(version)]
    return 1 if failed else 0


def passes(version: str) -> bool:
    """Run the client's tests with one version of pyone."""
    python = environment(version)
    tests = ["tests/onext/oned", "tests/live/test_pyone.py"]
    if os.environ.get("ONE_XMLRPC"):
        tests.append("tests/live/test_templates.py")
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-200:]]
    sys.stdout.write(f"pyone {version}: {last[0]}\n" if not done.returncode else f"{done.stdout[-3000:]}\n")
    sys.stdout.write("" if not done.returncode else f"pyone {version}: failed\n")
    sys.stdout.flush()
    return done.returncode == 0


def environment(version: str) -> Path:
    """Return the Python of an environment with everything that the tests need, and this pyone."""
    folder = ROOT / ".cache" / f"pyone-{version}"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = (str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    subprocess.run([*pip, "-e", ".[dev]"], cwd=ROOT, check=True)
    subprocess.run(
        [*pip, f"pyone=={version}", *_MISSING.get(version, ())], check=True, stderr=subprocess.DEVNULL
    )
    return python


if __name__ == "__main__":
    sys.exit(main())
