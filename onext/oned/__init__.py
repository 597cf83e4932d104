"""The one door to oned: pyone with real time-outs, escaped values and typed errors."""
