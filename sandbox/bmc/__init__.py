"""The BMCs of hosts, played by programs that others wrote: ipmi_sim (Debian's openipmi) and sushy-tools.

A host that its BMC switches off stops answering ssh and monitoring; switched on, it boots first.
"""
