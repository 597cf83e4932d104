"""The only package that talks to oned: pyone with deadlines, escaped values and typed errors."""
