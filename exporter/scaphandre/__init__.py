"""What a node needs to measure power: `node.py` and `setup.sh` run there, with the bare python3."""
