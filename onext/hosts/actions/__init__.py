"""Carry out one action on one host: look, write the intent, act, look again; every step can be repeated."""
