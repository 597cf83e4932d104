"""The node's side of edge clusters: standard library only, Python 3.6 at least, one file when built."""
