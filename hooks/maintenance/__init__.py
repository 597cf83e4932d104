"""Hosts that a person takes out of service for a while."""
