"""What the locks of this checkout install."""

from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pins(extra: str, python: str) -> dict[str, str]:
    """Return name and version of what a lock installs with a Python."""
    found: dict[str, str] = {}
    for line in (ROOT / f"locks/{extra}.txt").read_text().splitlines():
        if line[:1].isspace() or not line.strip():
            continue
        one = Requirement(line.removesuffix("\\").strip())
        environment = {
            **default_environment(),
            "python_version": python,
            "python_full_version": f"{python}.1",
            "extra": "",
        }
        if one.marker is None or one.marker.evaluate(environment):  # type: ignore[arg-type]  # a plain dict
            found[canonicalize_name(one.name)] = str(one.specifier).removeprefix("==")
    return found
