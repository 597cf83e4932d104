"""oned.log, in oned's format."""

import threading
import time
from pathlib import Path


class OnedLog:
    """Appends lines such as `Sat Nov 21 04:47:44 2026 [Z0][AuM][E]: message`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, level: str, module: str, message: str) -> None:
        """Write a message at a level (E, W, I, D) for a module (ReM, AuM, HKM …)."""
        with self._lock, self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.ctime()} [Z0][{module}][{level}]: {message}\n")
