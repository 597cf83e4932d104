"""The migration driver in its place; whether memory travels only real hypervisors can show."""

from sandbox.tour import tell
from sandbox.tour.stage import Stage, TourError

NEEDS = "var/remotes/vmm/kvm/migrate"


def play(stage: Stage) -> None:
    """Show what is at OpenNebula's path, and write the map of hosts to clusters."""
    tell.chapter("Migrate: live migrations through a tunnel")
    folder = stage.location / "var/remotes/vmm/kvm"
    for name, whose in (("migrate", "ours"), ("migrate_default", "OpenNebula's own, which onext's calls")):
        if not (folder / name).is_file():
            raise TourError(f"{folder / name} not found")
        tell.line(f"  var/remotes/vmm/kvm/{name}: {whose}")
    stage.typed("onext tunnel sync")
    tell.line("  the nodes here are played; as root, `make lab` migrates real VMs between two hypervisors")
