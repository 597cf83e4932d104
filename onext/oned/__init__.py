"""The only package that talks to oned: XML-RPC with deadlines, escaped values and typed errors."""
