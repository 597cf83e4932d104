"""What the front-end knows, in memory only: objects, their pools, who may see and change them."""
