"""Biscuit tokens instead of passwords: making, reading, checking and revoking them.

The driver is drivers/auth/biscuit/authenticate, which imports nothing from here. On a user's
workstation only click and biscuit-python are there; what needs a front-end is imported where it is used.
"""
