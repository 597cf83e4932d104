"""A small OpenNebula front-end in one process, to try everything on a machine without OpenNebula.

A stand-in, not a replacement: it keeps its state in memory, answers on loopback, and starts the *installed*
hooks and drivers as processes, as OpenNebula does. It imports nothing of the bundle. docs/sandbox.md
describes what it simulates and how a test makes things happen (`sandbox.*`).
"""
