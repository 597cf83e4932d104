"""A cluster's week without a cluster: the same decide function over synthetic or recorded load."""
