"""Power of hosts and VMs, from Scaphandre or Kepler on each host."""
