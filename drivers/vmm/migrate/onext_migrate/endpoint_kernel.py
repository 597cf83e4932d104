"""A tunnel as a plain VXLAN device of the Linux kernel."""

from typing import List

from .commands import as_root
from .endpoint_spec import EndpointSpec
from .errors import CommandError, TakenError


def build(plan: EndpointSpec) -> None:
    """Create the device, up, with its MAC and MTU. Raise TakenError when its VNI or UDP port is another's."""
    try:
        try:
            as_root(command(plan))
        except CommandError as error:
            if '"df"' not in error.output and "df" not in error.output.split():
                raise
            as_root(command(plan)[:-2])  # an iproute2 that does not know `df` yet
    except CommandError as error:
        if "File exists" in error.output or "in use" in error.output or "already exists" in error.output:
            raise TakenError(
                f"VNI {plan.identity.vni} on port {plan.port}: {error.output.strip()}"
            ) from error
        raise


def command(plan: EndpointSpec) -> List[str]:
    """Return the command: one remote, nothing learnt from the wire, too large outer packets refused (df)."""
    ident = plan.identity
    add = ["ip", "link", "add", "dev", ident.name]
    if plan.ifindex:
        add += ["index", str(plan.ifindex)]
    add += [
        "address",
        ident.near.mac,
        "mtu",
        str(plan.mtu),
        "arp",
        "off",
        "type",
        "vxlan",
        "id",
        str(ident.vni),
    ]
    add += ["local", ident.near.underlay, "remote", ident.far.underlay, "dev", plan.device]
    return [*add, "dstport", str(plan.port), "nolearning", "df", "set"]
