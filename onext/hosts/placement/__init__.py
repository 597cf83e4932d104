"""Which hosts to keep and which VMs to move: pure, deterministic, without any word of OpenNebula."""
