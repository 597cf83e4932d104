"""When a migration is given up."""

from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate.watchdog import ABORT, GOOD, REPAIR, Observation, Verdict, Watchdog


def sight(now: float, **what: object) -> Observation:
    """Return a healthy moment, but for `what`."""
    healthy = Observation(
        now, active=True, postcopy=lambda: False, figures=now, received=int(now * 10), answered=True
    )
    return healthy._replace(**what)  # type: ignore[arg-type]


def last(*sights: Observation) -> Verdict:
    """Show moments to a watchdog (no progress: 60 s, dead tunnel: 15 s); return its last verdict."""
    watchdog = Watchdog(60, 15)
    return [watchdog.look(one) for one in sights][-1]


def test_a_healthy_stream() -> None:
    """A long migration is left alone."""
    assert last(*(sight(now) for now in range(600))).what == GOOD


def test_a_dead_tunnel() -> None:
    """The migration would hang without an end."""
    dead = [sight(now, answered=False, received=7) for now in range(30)]
    assert last(*dead[:5]).what == GOOD
    assert last(*dead[:6]) == Verdict(REPAIR, "nothing came through the tunnel for 5 s")
    assert last(*dead[:8]).what == REPAIR
    assert last(*dead[:16]) == Verdict(ABORT, "nothing came through the tunnel for 15 s")


def test_a_saturated_tunnel_is_not_dead() -> None:
    """Probes get lost where the line is full; the stream's own acknowledgements count."""
    assert last(*(sight(now, answered=False) for now in range(100))).what == GOOD


def test_no_progress() -> None:
    """A stream that stalls behind a living tunnel."""
    stuck = [sight(now, figures=(1, 2)) for now in range(70)]
    assert last(*stuck[:60]).what == GOOD
    assert last(*stuck[:61]) == Verdict(ABORT, "no progress for 60 s")


def test_before_the_stream_nothing_is_aborted() -> None:
    """OpenNebula copies snapshots first, for as long as it takes."""
    assert last(*(sight(now, active=False, figures=None) for now in range(500))).what == GOOD


def test_B5_a_virsh_that_hangs_in_connecting_is_given_up() -> None:
    """The destination's libvirt was frozen: no job, so nothing was watched, and silence for 200 s."""
    hanging = [sight(now, active=False, starting=True, figures=None) for now in range(70)]
    assert last(*hanging[:59]).what == GOOD
    assert last(*hanging) == Verdict(ABORT, "no migration job for 69 s")


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), min_size=1, max_size=60))
def test_never_in_post_copy(moments: "list[tuple[bool, bool, int]]") -> None:
    """Half of the VM's memory is on the other side: an abort would be its end."""
    watchdog = Watchdog(5, 3)
    for now, (active, answered, figures) in enumerate(moments):
        seen = Observation(
            float(now * 2), active, postcopy=lambda: True, figures=figures, received=0, answered=answered
        )
        assert watchdog.look(seen).what != ABORT
