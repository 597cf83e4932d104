"""A live migration whose memory travels through a tunnel: on hypervisors, Python 3.6, bare library."""
