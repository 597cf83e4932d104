"""What the worker costs at 1,250 hosts and 10,000 VMs while power decides on all of them.

As in tests.bench.worker, with power's clusters set to the one that holds every host, and its policy left at
advise: each of its passes reads what the shared pools do not hold, and plans.
"""

from __future__ import annotations

from tests.bench import worker

SETTINGS = "power: {clusters: [100], highest_mode: advise}\n"


def main() -> None:
    """Print one line for each figure."""
    worker.main(SETTINGS)


if __name__ == "__main__":
    main()
