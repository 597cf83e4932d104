"""What an upgrade leaves behind under a part's former name: brought to the new one when the worker starts."""

from __future__ import annotations

import logging

from onext import metrics
from onext.events import RENAMED
from onext.part import Context

_log = logging.getLogger("onext.worker")


def take_over(context: Context) -> None:
    """Keep a part stopped that was stopped under its former name, and remove its former metrics.

    Both metrics files together would make the exporter's page invalid.
    """
    for former, name in RENAMED.items():
        try:
            mark = context.paths.stopped / former
            if mark.exists():
                mark.rename(context.paths.stopped / name)
            metrics.remove(context.paths.metrics, former)
        except OSError as error:
            _log.warning("%s is %s now: %s", former, name, error)
