"""Which hosts to keep and which guests to move: pure, deterministic, without any word of OpenNebula."""
