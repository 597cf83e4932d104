"""What happens by itself: monitoring, the steps of a VM's life, the scheduler."""
