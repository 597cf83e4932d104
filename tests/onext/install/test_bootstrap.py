"""What install.sh looks at before it does anything."""

import os
from pathlib import Path

import pytest

from onext.install.bootstrap import _require_readable
from onext.install.front_end import InstallError


def test_a_checkout_that_the_owner_cannot_read_is_refused_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's checkout in /root failed half way for a front-end of oneadmin's, and could not be uninstalled."""
    (tmp_path / "pyproject.toml").touch()
    _require_readable(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InstallError, match="cannot read it: put it elsewhere"):
        _require_readable(tmp_path)
