"""Power of hosts and guests, from Scaphandre or Kepler on each host."""
