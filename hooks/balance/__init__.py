"""Which VMs to move so that no host is much more loaded than its cluster."""
