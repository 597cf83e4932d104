"""XML-RPC as oned speaks it: the wire, the table of calls, the HTTP server."""
