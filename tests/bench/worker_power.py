"""What the worker costs at 1,250 hosts and 10,000 VMs while power decides on all of them.

As in tests.bench.worker, with the cluster of every host at MODE=advise and PACK=yes: each pass of power reads
what the shared pools do not hold, and plans.
"""

from __future__ import annotations

from tests.bench import worker
from tests.fixtures_bundle import Bundle

CLUSTER = 100  # of all hosts of a large sandbox


def advise(bundle: Bundle) -> None:
    """Let power plan, and switch nothing."""
    bundle.settings(f"power: {{clusters: [{CLUSTER}], highest_mode: advise}}\n")
    policy = 'ONEXT_POWER=[MODE="advise",PACK="yes"]'
    bundle.sandbox.call("one.cluster.update", CLUSTER, policy, 1)


def main() -> None:
    """Print one line for each figure."""
    worker.main(advise)


if __name__ == "__main__":
    main()
