"""Grafana dashboards: the JSON files beside this one, and what makes them."""
