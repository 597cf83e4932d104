"""Whether a migration is tunnelled: the rule, the exceptions per host pair, the map of clusters."""

from fnmatch import fnmatchcase
from typing import Dict, NamedTuple, Tuple

from .action import Action
from .settings import Settings


class Choice(NamedTuple):
    """The answer and its reason, for the VM's log."""

    tunnelled: bool
    reason: str


def choose(action: Action, settings: Settings, clusters: Dict[str, str]) -> Choice:
    """Decide for one migration. The first exception for the pair (in either order) wins over TUNNEL."""
    pair = (action.source, action.destination)
    for one, other, answer in settings.exceptions:
        if _matches(pair, one, other) or _matches(pair, other, one):
            return Choice(answer == "always", f"exception {one},{other}={answer}")
    if settings.tunnel != "between-clusters":
        return Choice(settings.tunnel == "always", f"TUNNEL={settings.tunnel}")
    source = clusters.get(action.source, "")
    destination = action.destination_cluster or clusters.get(action.destination, "")
    if not source or not destination:
        unknown = action.destination if source else action.source
        return Choice(True, f"the cluster of {unknown} is not in the map (onext tunnel sync, onehost sync)")
    return Choice(source != destination, f"from cluster {source} to cluster {destination}")


def _matches(pair: Tuple[str, str], one: str, other: str) -> bool:
    return fnmatchcase(pair[0], one) and fnmatchcase(pair[1], other)
