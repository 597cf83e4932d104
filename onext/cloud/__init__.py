"""One snapshot of OpenNebula's pools per worker round, shared by all parts."""
