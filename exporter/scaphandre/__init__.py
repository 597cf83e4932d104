"""What a node needs to measure power: `node.py` runs there, with the distribution's bare python3."""
