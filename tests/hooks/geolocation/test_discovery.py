"""How a host's addresses are found out: ssh first, DNS where that is allowed to speak."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from hooks.geolocation.addresses import Address
from hooks.geolocation.discovery import Ask, Discovered, NotFoundOut, by_dns, discover, ssh_asker
from onext.settings.geolocation import Geolocation

ONE, TWO = ip_address("193.0.6.139"), ip_address("2001:6b0:1::1")


def answers(*addresses: Address) -> Ask:
    return lambda _name: addresses


def fails(_name: str) -> tuple[Address, ...]:
    raise NotFoundOut("no answer")


def never(_name: str) -> tuple[Address, ...]:
    raise AssertionError("must not be asked")


@pytest.mark.parametrize("has_value", [True, False])
@pytest.mark.parametrize(
    ("ssh", "dns", "found"),
    [
        (answers(ONE, TWO), never, Discovered("ssh", (ONE, TWO))),
        (answers(), answers(TWO), Discovered("dns", (TWO,))),
        (answers(), answers(), Discovered("dns", ())),
    ],
)
def test_where_ssh_answered(ssh: Ask, dns: Ask, found: Discovered, has_value: bool) -> None:
    """The host's own word counts; its name only where it has no public address."""
    assert discover("node", "", ssh, dns, has_value=has_value) == found


def test_ssh_failed_and_there_is_no_value() -> None:
    """A new host that ssh cannot reach yet is located by its name."""
    assert discover("node", "", fails, answers(ONE), has_value=False) == Discovered("dns", (ONE,))


@pytest.mark.parametrize("dns", [answers(), fails])
def test_ssh_failed_and_the_name_says_nothing(dns: Ask) -> None:
    """That must be tried again, and must not count as `no address`."""
    with pytest.raises(NotFoundOut):
        discover("node", "", fails, dns, has_value=False)


def test_ssh_failed_and_a_value_stands() -> None:
    """What was known must not be replaced by a name's address because a host was busy."""
    with pytest.raises(NotFoundOut):
        discover("node", "", fails, never, has_value=True)


def test_dns_failed_after_ssh_said_none() -> None:
    """A broken resolver must not remove a value; and its failure alone would hide that the host answered."""
    with pytest.raises(NotFoundOut, match="the host has no public address itself; no answer"):
        discover("node", "", answers(), fails, has_value=True)


def test_the_template_overrides() -> None:
    """GEOLOCATION_IP is for hosts behind NAT: nobody else is asked."""
    text = "193.0.6.139, 2001:6b0:1::1 ::ffff:193.0.6.139"
    assert discover("node", text, never, never, has_value=True) == Discovered("GEOLOCATION_IP", (ONE, TWO))


def test_a_wrong_override_is_named() -> None:
    """A typing error must be seen, and must not make us ask elsewhere."""
    with pytest.raises(NotFoundOut, match=r"GEOLOCATION_IP.*193\.0\.6"):
        discover("node", "193.0.6", never, never, has_value=False)


def test_a_forged_name_is_not_asked() -> None:
    """A name that oned never gave must not reach ssh."""
    with pytest.raises(NotFoundOut, match="no command is run"):
        ssh_asker(Geolocation())("-oProxyCommand=touch /tmp/x")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    def use(answer: object) -> None:
        def getaddrinfo(*_arguments: object, **_options: object) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)

    return use


def test_a_name_resolves_to_public_addresses_only(resolver: Callable[[object], None]) -> None:
    """Debian puts 127.0.1.1 for a machine's own name; a scope must not break the reading."""
    found = [
        ("127.0.1.1", 0),
        ("193.0.6.139", 0),
        ("193.0.6.139", 0),
        ("fe80::1%eth0", 0, 0, 2),
        ("2001:6b0:1::1", 0, 0, 0),
    ]
    resolver([(2, 1, 6, "", address) for address in found])
    assert by_dns("node") == (ONE, TWO)


@pytest.mark.parametrize("error", [OSError(-3, "Temporary failure"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve(resolver: Callable[[object], None], error: Exception) -> None:
    """A failing resolver is no answer."""
    resolver(error)
    with pytest.raises(NotFoundOut, match="does not resolve"):
        by_dns("node")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (" ".join(f"193.0.6.{number}" for number in range(1, 17)), True),
        (" ".join(f"193.0.6.{number}" for number in range(1, 18)), False),
        ("193.0.6.139".ljust(1024, ","), True),
        ("193.0.6.139".ljust(1025, ","), False),
    ],
)
def test_how_much_an_override_may_hold(text: str, read: bool) -> None:
    """A template is untrusted, and one that is cut would put the host where nobody wrote it."""
    if read:
        assert discover("node", text, never, never, has_value=True).addresses
    else:
        with pytest.raises(NotFoundOut, match="more than 16 addresses or 1024 characters"):
            discover("node", text, never, never, has_value=True)
