"""A tunnel that is there anyway: both hosts are WireGuard peers, and reach each other at overlay addresses.

The driver creates and deletes nothing here; it does not use an incomplete device.
"""

from . import net_devices, underlay
from .endpoint_spec import EndpointSpec
from .errors import TunnelError


def check(plan: EndpointSpec, addressed: bool) -> None:
    """Raise TunnelError unless the device is WireGuard's and has our address."""
    name = plan.identity.name
    if not net_devices.is_wireguard(name):
        raise TunnelError(f"the way to {plan.identity.far.inside} is {name}, which is not WireGuard's")
    if not addressed:
        raise TunnelError(f"{name} has no address {plan.identity.near.inside}")


def mtu(plan: EndpointSpec) -> int:
    """Return the MTU of the way to the far end: its route may have one, and it is not ours to change.

    Raise TunnelError without a way.
    """
    far = plan.identity.far.inside
    return underlay.route(far).mtu + underlay.overhead(far)
