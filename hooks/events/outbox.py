"""The durable outbox: events are committed, with a number for each sink, before anything is sent.

SQLite in WAL mode. One process writes; commands read. A sink's numbers have no gaps: a filter decides
before the number is given. A change is committed together with the new state of its object, so that a process
that is killed between two commits repeats the difference, and neither loses nor doubles a change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from hooks.events.changes import PREFIX, Change, Known
from hooks.events.facts import Facts, Object
from hooks.events.snapshot_requests import SnapshotRequests
from hooks.events.stored import Event, SinkState, event_of

BATCH = 20_000  # events that one pruning deletes at most
AUDITED = "user"  # the kind of object that audit events are about, and no others
_EVENT = "d.number, e.id, e.type, e.kind, e.object, e.time, e.late, e.facts, e.before"


Accepts = Callable[[Change], bool]


class Outbox(SnapshotRequests):
    """The outbox in one file; raises OutboxError for whatever SQLite reports."""

    def known(self) -> dict[Object, Known]:
        """Return what is known of every object, those included that are gone since the last pruning."""
        with self._reported():
            rows = self._db.execute("SELECT kind, id, facts, event, gone FROM objects")
            return {
                Object(kind, one): Known(json.loads(text), event, bool(gone))
                for kind, one, text, event, gone in rows
            }

    def append(self, changes: Iterable[Change], sinks: Mapping[str, Accepts], now: float) -> int:
        """Commit changes, the state that they lead to, and a number for each sink that accepts them."""
        found = list(changes)
        with self._transaction():
            self._publish(found, sinks, now)
            for change in found:
                self._keep(change, now)
        return len(found)

    def record(self, happened: Sequence[Change], sinks: Mapping[str, Accepts], now: float, mark: str) -> None:
        """Commit what happened without being a state of any object, and how far its source was read."""
        with self._transaction():
            self._publish(happened, sinks, now)
            self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('audit', ?)", (mark,))

    def mark(self) -> str:
        """Return how far the source of `record` was read, empty at first."""
        with self._reported():
            row = self._db.execute("SELECT value FROM meta WHERE key = 'audit'").fetchone()
        return str(row[0]) if row else ""

    def _publish(self, changes: Sequence[Change], sinks: Mapping[str, Accepts], now: float) -> None:
        """Store events, and give each its number for every sink that accepts it."""
        lasts = {name: self._last(name) for name in sinks}
        for change in changes:
            event = self._insert(change, now)
            for name, accepts in sinks.items():
                if accepts(change):
                    lasts[name] += 1
                    row = (name, lasts[name], event)
                    self._db.execute("INSERT INTO deliveries (sink, number, event) VALUES (?, ?, ?)", row)
        for name, last in lasts.items():
            self._db.execute("UPDATE sinks SET last = ? WHERE name = ?", (last, name))

    def snapshot(self, name: str, accepts: Accepts, source: str, now: float) -> int:
        """Queue the whole state for one sink: begin with a watermark, each object, end; return how many.

        What waited for the sink before is superseded and removed, except audit events: these follow. A
        receiver deletes every object that the snapshot did not hold; events behind it count as usual.
        """
        with self._transaction():
            last = self._last(name)
            lasting = self._db.execute(
                "SELECT d.event FROM deliveries d, sinks s, events e WHERE d.sink = ? AND s.name = d.sink"
                " AND d.number > s.acknowledged AND d.dead = '' AND e.number = d.event AND e.kind = ?"
                " ORDER BY d.number",
                (name, AUDITED),
            ).fetchall()
            self._db.execute("DELETE FROM deliveries WHERE sink = ? AND dead = ''", (name,))
            known = [
                Change(f"{source}.{one.event}", f"{PREFIX}.{thing.kind}.snapshot", thing, one.facts)
                for thing, one in sorted(self.known().items())
                if not one.gone
            ]
            items = [change for change in known if accepts(change)]
            mark: Facts = {"watermark": last + 1, "items": len(items)}
            whole = Object("zone", self._number("zone"))
            begin = Change(f"{source}.begin", f"{PREFIX}.snapshot.begin", whole, mark)
            end = Change(f"{source}.end", f"{PREFIX}.snapshot.end", whole, mark)
            events = [self._insert(change, now) for change in (begin, *items, end)]
            events += [event for (event,) in lasting]
            for number, event in enumerate(events, last + 1):
                row = (name, number, event)
                self._db.execute("INSERT INTO deliveries (sink, number, event) VALUES (?, ?, ?)", row)
            self._db.execute(
                "UPDATE sinks SET last = ?, acknowledged = ?, failures = 0, next = 0 WHERE name = ?",
                (last + len(events), last, name),
            )
            return len(items) + 2

    def sink(self, name: str) -> SinkState:
        """Return the state of a sink, a new one where the outbox does not know it."""
        with self._reported():
            row = self._db.execute(
                "SELECT name, last, acknowledged, failures, next, stopped, problem FROM sinks WHERE name = ?",
                (name,),
            ).fetchone()
        return SinkState(*row) if row else SinkState(name, 0, 0)

    def pending(self, name: str, most: int = 100) -> Sequence[Event]:
        """Return the next events for a sink in order, without dead ones."""
        with self._reported():
            rows = self._db.execute(
                f"SELECT {_EVENT} FROM deliveries d JOIN events e ON e.number = d.event, sinks s"  # noqa: S608
                " WHERE d.sink = ? AND s.name = d.sink AND d.number > s.acknowledged AND d.dead = ''"
                " ORDER BY d.number LIMIT ?",
                (name, most),
            ).fetchall()
        return [event_of(row) for row in rows]

    def acknowledged(self, name: str, number: int) -> None:
        """Note that a sink has every event up to this number; earlier failures are forgotten."""
        with self._transaction():
            self._db.execute(
                "UPDATE sinks SET acknowledged = max(acknowledged, ?), failures = 0, next = 0, problem = ''"
                " WHERE name = ?",
                (number, name),
            )

    def failed(self, name: str, failures: int, again: float, problem: str, stopped: str = "") -> None:
        """Note a failure: how many in a row, when to try again, why."""
        with self._transaction():
            self._last(name)
            self._db.execute(
                "UPDATE sinks SET failures = ?, next = ?, problem = ?, stopped = ? WHERE name = ?",
                (failures, again, problem, stopped, name),
            )

    def bury(self, name: str, number: int, reason: str) -> None:
        """Mark one event as dead for a sink: it is skipped until it is retried by hand."""
        with self._transaction():
            self._db.execute(
                "UPDATE deliveries SET dead = ? WHERE sink = ? AND number = ?",
                (reason or "dead", name, number),
            )
            following = self._db.execute(
                "SELECT min(d.number) FROM deliveries d, sinks s WHERE d.sink = ? AND s.name = d.sink"
                " AND d.number > s.acknowledged AND d.dead = ''",
                (name,),
            ).fetchone()[0]
            last = self._last(name)
            reached = last if following is None else following - 1
            self._db.execute(
                "UPDATE sinks SET acknowledged = max(acknowledged, ?), failures = 0, next = 0 WHERE name = ?",
                (reached, name),
            )

    def dead(self, name: str) -> Sequence[tuple[Event, str]]:
        """Return the dead letters of a sink with the reason of each."""
        with self._reported():
            rows = self._db.execute(
                f"SELECT {_EVENT}, d.dead FROM deliveries d JOIN events e ON e.number = d.event"  # noqa: S608
                " WHERE d.sink = ? AND d.dead != '' ORDER BY d.number LIMIT 10000",
                (name,),
            ).fetchall()
        return [(event_of(row[:-1]), str(row[-1])) for row in rows]

    def revive(self, name: str) -> int:
        """Queue the dead letters of a sink again, under new numbers behind all others; return how many."""
        with self._transaction():
            last = self._last(name)
            dead = self._db.execute(
                "SELECT number, event FROM deliveries WHERE sink = ? AND dead != '' ORDER BY number", (name,)
            ).fetchall()
            for offset, (number, event) in enumerate(dead, 1):
                self._db.execute("DELETE FROM deliveries WHERE sink = ? AND number = ?", (name, number))
                self._db.execute(
                    "INSERT INTO deliveries (sink, number, event) VALUES (?, ?, ?)",
                    (name, last + offset, event),
                )
            self._db.execute("UPDATE sinks SET last = ? WHERE name = ?", (last + len(dead), name))
            return len(dead)

    def discard(self, name: str) -> int:
        """Delete the dead letters of a sink; return how many there were."""
        with self._transaction():
            done = self._db.execute("DELETE FROM deliveries WHERE sink = ? AND dead != ''", (name,))
            return int(done.rowcount)

    def resume(self, name: str) -> None:
        """Let a sink that stopped get events again, at once."""
        with self._transaction():
            self._last(name)
            self._db.execute(
                "UPDATE sinks SET stopped = '', problem = '', failures = 0, next = 0 WHERE name = ?", (name,)
            )

    def replay(self, name: str, first: int) -> int:
        """Send the events from number `first` on once more, as far as they are kept; return how many."""
        with self._transaction():
            self._last(name)
            self._db.execute(
                "UPDATE sinks SET acknowledged = min(acknowledged, ?), next = 0 WHERE name = ?",
                (first - 1, name),
            )
            found = self._db.execute(
                "SELECT count(*) FROM deliveries WHERE sink = ? AND number >= ? AND dead = ''", (name, first)
            ).fetchone()
            return int(found[0])

    def replayable(self, name: str, first: int) -> int:
        """Return how many events of a sink from number `first` on are kept; what `replay` would send."""
        with self._reported():
            found = self._db.execute(
                "SELECT count(*) FROM deliveries WHERE sink = ? AND number >= ? AND dead = ''", (name, first)
            ).fetchone()
        return int(found[0])

    def since(self, number: int, most: int = 1000) -> Sequence[Event]:
        """Return committed events behind a number of the outbox itself, for `onext events tail`."""
        with self._reported():
            rows = self._db.execute(
                "SELECT e.number, e.id, e.type, e.kind, e.object, e.time, e.late, e.facts, e.before"
                " FROM events e WHERE e.number > ? ORDER BY e.number LIMIT ?",
                (number, most),
            ).fetchall()
        return [event_of(row) for row in rows]

    def newest(self) -> int:
        """Return the number of the newest committed event."""
        with self._reported():
            return int(self._db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()[0])

    def kept(self) -> int:
        """Return how many events are kept, as the range of their numbers."""
        with self._reported():
            row = self._db.execute("SELECT coalesce(max(number) - min(number) + 1, 0) FROM events").fetchone()
        return int(row[0])

    def epoch(self) -> int:
        """Return the epoch that this outbox began with a snapshot, 0 for none."""
        with self._reported():
            return self._number("epoch")

    def begin_epoch(self, number: int) -> None:
        """Note that every sink has a snapshot of this epoch queued."""
        with self._transaction():
            self._keep_number("epoch", number)

    def name_zone(self, number: int) -> None:
        """Note the id of the zone, which snapshots are about."""
        with self._transaction():
            self._keep_number("zone", number)

    def keep_only(self, names: Collection[str]) -> None:
        """Forget sinks that are not configured any more: what waits for them would never be deleted."""
        with self._transaction():
            known = {str(name) for (name,) in self._db.execute("SELECT name FROM sinks")}
            for name in known - set(names):
                self._db.execute("DELETE FROM deliveries WHERE sink = ?", (name,))
                self._db.execute("DELETE FROM sinks WHERE name = ?", (name,))
                self._forget_requests(name)

    def prune(self, before: float, most: int) -> Mapping[str, int]:
        """Delete events that every sink has and that are old, and those that are too many.

        At most BATCH of each are deleted at once. Returns for each sink how many it never got: it needs a
        snapshot.
        """
        with self._transaction():
            newest = self._db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()[0]
            done = self._db.execute(
                "SELECT e.number FROM events e WHERE NOT EXISTS (SELECT 1 FROM deliveries d, sinks s WHERE"
                " d.event = e.number AND s.name = d.sink AND d.number > s.acknowledged)"
                " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.number AND d.dead != '')"
                " AND e.time < ? ORDER BY e.number LIMIT ?",
                (before, BATCH),
            ).fetchall()
            self._remove(done)
            self._db.execute("DELETE FROM objects WHERE gone > 0 AND gone < ?", (before,))
            old = self._db.execute(
                "SELECT number FROM events WHERE number <= ? ORDER BY number LIMIT ?", (newest - most, BATCH)
            ).fetchall()
            highest = old[-1][0] if old else 0
            lost = self._db.execute(
                "SELECT d.sink, count(*) FROM deliveries d, sinks s WHERE d.event <= ? AND s.name = d.sink"
                " AND d.number > s.acknowledged AND d.dead = '' GROUP BY d.sink",
                (highest,),
            ).fetchall()
            self._remove(old)
            return {str(name): int(count) for name, count in lost}

    def _remove(self, numbers: Sequence[tuple[int]]) -> None:
        self._db.executemany("DELETE FROM deliveries WHERE event = ?", numbers)
        self._db.executemany("DELETE FROM events WHERE number = ?", numbers)

    def _insert(self, change: Change, now: float) -> int:
        cluster = change.object.id if change.object.kind == "cluster" else change.facts.get("cluster", -1)
        row = (
            change.id, change.type, change.object.kind, change.object.id, cluster, now, change.late,
            json.dumps(change.facts), json.dumps(change.before),
        )  # fmt: skip
        cursor = self._db.execute(
            "INSERT INTO events (id, type, kind, object, cluster, time, late, facts, before)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        return int(cursor.lastrowid or 0)

    def _keep(self, change: Change, now: float) -> None:
        gone = max(now, 1.0) if change.type.endswith(".deleted") else 0.0
        row = (*change.object, json.dumps(change.facts), change.id, gone)
        self._db.execute(
            "INSERT OR REPLACE INTO objects (kind, id, facts, event, gone) VALUES (?, ?, ?, ?, ?)", row
        )

    def _last(self, name: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO sinks (name) VALUES (?)", (name,))
        return int(self._db.execute("SELECT last FROM sinks WHERE name = ?", (name,)).fetchone()[0])
