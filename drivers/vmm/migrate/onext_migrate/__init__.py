"""A live migration whose memory travels through a tunnel: runs on hypervisors, Python 3.6, standard library only."""
