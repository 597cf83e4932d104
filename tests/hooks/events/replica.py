"""What a receiver makes of the events that arrive: the rules of docs/events.md, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field


@dataclass
class Replica:
    """The cloud as a receiver knows it."""

    objects: dict[str, dict[str, object]] = field(default_factory=dict)
    epoch: int = 0
    seen: set[str] = field(default_factory=set)
    numbers: dict[int, str] = field(default_factory=dict)  # id by sequence number
    duplicates: int = 0
    _fresh: set[str] | None = None

    def take(self, body: bytes) -> None:
        """Apply one event as it arrives."""
        event = json.loads(body)
        epoch, number = int(event["epoch"]), int(event["sequence"])
        if epoch < self.epoch:
            return
        self.epoch = epoch
        known = self.numbers.setdefault(number, event["id"])
        assert known == event["id"], f"two events have the number {number}"
        if event["id"] in self.seen:
            self.duplicates += 1
            return
        self.seen.add(event["id"])
        self._apply(event["type"].rpartition(".")[2], event["subject"], event["type"], event["data"])

    def _apply(self, verb: str, subject: str, kind: str, data: dict[str, object]) -> None:
        if kind.endswith(".snapshot.begin"):
            self._fresh = set()
        elif kind.endswith(".snapshot.end"):
            kept = self._fresh or set()
            self.objects = {name: facts for name, facts in self.objects.items() if name in kept}
            self._fresh = None
        elif verb == "deleted":
            self.objects.pop(subject, None)
        else:
            self.objects[subject] = {key: value for key, value in data.items() if key != "before"}
            if self._fresh is not None:
                self._fresh.add(subject)

    def missing(self) -> list[int]:
        """Return the sequence numbers that never arrived."""
        last = max(self.numbers, default=0)
        return [number for number in range(1, last + 1) if number not in self.numbers]
