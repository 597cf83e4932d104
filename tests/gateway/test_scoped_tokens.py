"""What scoped tokens may do: a table of tokens and calls, and every way around it that was thought of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, KeyPair

from gateway import vouching
from gateway.questions import Answer, Question
from gateway.refusals import Forbidden, Invalid
from gateway.rpc import table
from onext.biscuit import keys, policy, scoped, tokens
from onext.biscuit.errors import BadBlock

USER, GATEWAY, OTHER = KeyPair(), KeyPair(), KeyPair()
STORED = keys.stored(USER.public_key)
NEVER = datetime(2100, 1, 1, tzinfo=timezone.utc)


def plain(user: str = "dann1") -> Biscuit:
    return tokens.mint(USER.private_key, user, NEVER)


def narrowed(operations: Sequence[str], resources: Sequence[str], token: Biscuit | None = None) -> Biscuit:
    """Return a token as `onext biscuit attenuate --operation` makes it."""
    return tokens.attenuate(token or plain(), None, [scoped.check(operations, resources, GATEWAY.public_key)])


def decided(
    token: Biscuit | str, method: str, *arguments: table.Argument, user: str = "dann1", stored: str = STORED
) -> Answer:
    """Return what the gateway decides, with the table's facts of a call."""
    call = table.find(f"one.{method}", arguments)
    facts = tuple((call.operation, one.kind, one.id) for one in call.resources)
    text = token if isinstance(token, str) else token.to_base64()
    return vouching.decide(Question(user, text, stored, facts), GATEWAY.private_key)


ONE_VM = narrowed(["vm:info", "vm:poweroff"], ["vm:12"])
MOVE = narrowed(["vm:migrate"], ["vm:12", "host:3"])
MOVE_STORE = narrowed(["vm:migrate"], ["vm:12", "host:3", "datastore:100"])
POOL = narrowed(["vmpool:info", "vmpool:infoset"], ["vmpool"])
TWICE = narrowed(["vm:info"], ["vm:12"], narrowed(["vm:info", "vm:poweroff"], ["vm:12", "vm:13"]))
START = narrowed(["template:instantiate"], ["template:5"])
START_ANY = narrowed(["template:instantiate"], ["template:5", "any"])
TABLE = [
    (ONE_VM, "vm.info", (12,), True),
    (ONE_VM, "vm.info", (12, False), True),
    (ONE_VM, "vm.info", (13,), False),
    (ONE_VM, "vm.info", (-1,), False),
    (ONE_VM, "vm.info", (120,), False),
    (ONE_VM, "vm.action", ("poweroff", 12), True),
    (ONE_VM, "vm.action", ("poweroff", 13), False),
    (ONE_VM, "vm.action", ("poweroff-hard", 12), False),
    (ONE_VM, "vm.action", ("terminate-hard", 12), False),
    (ONE_VM, "vm.action", ("info", 12), True),  # the same operation; oned has no such action
    (ONE_VM, "vm.update", (12, "A=1", 1), False),
    (ONE_VM, "vm.rename", (12, "x"), False),
    (ONE_VM, "vm.chown", (12, 0, 0), False),
    (ONE_VM, "vm.monitoring", (12,), False),
    (ONE_VM, "host.info", (12,), False),
    (ONE_VM, "image.info", (12,), False),
    (ONE_VM, "template.info", (12,), False),
    (ONE_VM, "user.info", (-1,), False),
    (ONE_VM, "user.info", (12,), False),
    (ONE_VM, "vmpool.info", (-2, -1, -1, -1), False),
    (ONE_VM, "vmpool.infoset", ("12", True), False),
    (ONE_VM, "system.version", (), False),
    (ONE_VM, "system.config", (), False),
    (MOVE, "vm.migrate", (12, 3, True, False, -1), True),
    (MOVE, "vm.migrate", (12, 3, True, False), True),
    (MOVE, "vm.migrate", (12, 4, True, False, -1), False),
    (MOVE, "vm.migrate", (13, 3, True, False, -1), False),
    (MOVE, "vm.migrate", (3, 12, True, False, -1), False),
    (MOVE, "vm.migrate", (12, 3, True, False, 100), False),
    (MOVE_STORE, "vm.migrate", (12, 3, True, False, 100), True),
    (MOVE_STORE, "vm.migrate", (12, 3, True, False, 0), False),
    (POOL, "vmpool.info", (-2, -1, -1, -1), True),
    (POOL, "vmpool.infoextended", (-2, -1, -1, -1, ""), False),
    (POOL, "hostpool.info", (), False),
    (POOL, "vmpool.infoset", ("12", True), False),
    (POOL, "vm.info", (12,), False),
    (narrowed(["vmpool:infoset"], ["vm:1", "vm:2"]), "vmpool.infoset", ("1,2", True), True),
    (narrowed(["vmpool:infoset"], ["vm:1", "vm:2"]), "vmpool.infoset", ("1,2,3", True), False),
    (TWICE, "vm.info", (12,), True),
    (TWICE, "vm.info", (13,), False),
    (TWICE, "vm.action", ("poweroff", 12), False),
    (START, "template.instantiate", (5, "", False, "", False), True),
    (START, "template.instantiate", (5, "", False, "DISK=[IMAGE_ID=9]", False), False),
    (START_ANY, "template.instantiate", (5, "", False, "DISK=[IMAGE_ID=9]", False), True),
    (START_ANY, "template.instantiate", (6, "", False, "", False), False),
    (narrowed(["vm:attach"], ["vm:12"]), "vm.attach", (12, "DISK=[IMAGE_ID=9]"), False),
    (narrowed(["vm:schedadd"], ["vm:12"]), "vm.schedadd", (12, 'SCHED_ACTION=[ACTION="terminate"]'), False),
    (narrowed(["vm:chown"], ["vm:12", "user:4"]), "vm.chown", (12, 4, -1), True),
    (narrowed(["vm:chown"], ["vm:12", "user:4"]), "vm.chown", (12, 4, 0), False),
    (narrowed(["image:clone"], ["image:7"]), "image.clone", (7, "x", 1), False),
    (narrowed(["cluster:addhost"], ["cluster:1", "host:2"]), "cluster.addhost", (1, 2), True),
    (narrowed(["cluster:addhost"], ["cluster:1", "host:2"]), "cluster.addhost", (2, 1), False),
]


@pytest.mark.parametrize(("token", "method", "arguments", "accepted"), TABLE)
def test_a_token_may_do_what_it_names_and_nothing_else(
    token: Biscuit, method: str, arguments: tuple[table.Argument, ...], accepted: bool
) -> None:
    """A token for one VM would reach another one, or another call; or what it names would be refused."""
    answer = decided(token, method, *arguments)
    assert bool(answer.token) is accepted, answer.refused
    if accepted:  # what is sent to oned is what the driver accepts
        policy.check(Biscuit.from_base64(answer.token, USER.public_key), "dann1")
        with pytest.raises(policy.Refused):
            policy.check(token, "dann1")


def attack(block: str, key: KeyPair | None = None) -> Biscuit:
    """Return the token for VM 12 with a holder's own block, signed by a key of theirs where one is given."""
    if key is None:
        return ONE_VM.append(BlockBuilder(block))
    made = ONE_VM.third_party_request().create_block(key.private_key, BlockBuilder(block))
    return ONE_VM.append_third_party(key.public_key, made)


FACTS = 'operation("vm:info"); resource("vm", 13);'
ATTACKS = [
    attack(FACTS),
    attack(FACTS, OTHER),
    attack(f'resource("vm", 13) <- resource("vm", 12) trusting {GATEWAY.public_key!r};'),
    attack(f'resource("vm", 13) <- resource("vm", 12) trusting {GATEWAY.public_key!r};', OTHER),
    attack("resource($k, 13) <- resource($k, 12);"),
    attack('check if true or operation("vm:info");'),
]


@pytest.mark.parametrize("token", ATTACKS)
def test_facts_of_a_holder_count_for_nothing(token: Biscuit) -> None:
    """Whoever holds a scoped token would widen it."""
    assert not decided(token, "vm.info", 13).token


def test_a_block_of_the_gateway_cannot_be_copied_to_another_token() -> None:
    """A holder of two tokens would move what was vouched for one to the other."""
    made = plain().third_party_request().create_block(GATEWAY.private_key, BlockBuilder(FACTS))
    try:
        moved = ONE_VM.append_third_party(GATEWAY.public_key, made)
    except Exception:  # noqa: BLE001 - it does not matter where it is refused
        return
    with pytest.raises(Exception):  # noqa: B017, PT011 - as above
        policy.check(Biscuit.from_base64(moved.to_base64(), USER.public_key), "dann1")


def test_what_is_vouched_for_ends_after_a_minute() -> None:
    """A composed token that leaked would be a password for ever."""
    answer = decided(ONE_VM, "vm.info", 12)
    source = Biscuit.from_base64(answer.token, USER.public_key)
    text = source.block_source(source.block_count() - 1)
    expires = datetime.fromisoformat(text.partition("<= ")[2].split(";")[0].strip().replace("Z", "+00:00"))
    left = expires - datetime.now(timezone.utc)
    assert timedelta(seconds=30) < left <= timedelta(seconds=60)


def test_tokens_of_others_keys_users_and_times_are_refused() -> None:
    """A token that OpenNebula would refuse would work through the gateway."""
    check = scoped.check(["vm:info"], ["vm:12"], GATEWAY.public_key)
    expired = tokens.mint(USER.private_key, "dann1", datetime(2020, 1, 1, tzinfo=timezone.utc), [check])
    foreign = tokens.mint(OTHER.private_key, "dann1", NEVER, [check])
    gateway = BiscuitBuilder('user("dann1")').build(GATEWAY.private_key)
    elsewhere = tokens.attenuate(plain(), None, [scoped.check(["vm:info"], ["vm:12"], OTHER.public_key)])
    assert decided(ONE_VM, "vm.info", 12).token
    assert not decided(expired, "vm.info", 12).token
    assert decided(foreign, "vm.info", 12).unknown
    assert decided(gateway, "vm.info", 12).unknown
    assert decided(ONE_VM.to_base64()[:-8], "vm.info", 12).unknown
    assert decided(ONE_VM, "vm.info", 12, stored="").unknown
    assert not decided(ONE_VM, "vm.info", 12, user="oneadmin").token
    assert not decided(elsewhere, "vm.info", 12).token


def test_a_check_that_trusts_no_gateway_is_explained() -> None:
    """A person would not learn why a token never works."""
    token = tokens.attenuate(ONE_VM, None, ['check if operation("vm:info")'])
    assert "trusting" in decided(token, "vm.info", 12).refused


@pytest.mark.parametrize(
    "method",
    ["user.login", "user.passwd", "user.update", "user.chauth", "user.allocate", "acl.addrule", "acl.info", "hook.allocate", "hookpool.info"],
)  # fmt: skip
def test_no_scoped_token_reaches_calls_that_change_rights(method: str) -> None:
    """A token for one thing would make itself a token for everything."""
    assert table.rows()[f"one.{method}"].scoped is False


@pytest.mark.parametrize(
    "method",
    [
        "system.multicall",
        "system.listMethods",
        "one.zone.replicate",
        "one.system.sql",
        "sandbox.monitor",
        "one.vm.nothing",
    ],
)
def test_calls_that_the_table_lacks_are_refused(method: str) -> None:
    """Several calls in one, or those between servers, would pass by the checks."""
    with pytest.raises(Forbidden):
        table.find(method, (1,))


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("one.vm.info", ()),
        ("one.vm.info", ("12",)),
        ("one.vm.info", (True,)),
        ("one.vm.action", (12, "poweroff")),
        ("one.vm.action", ("power off", 12)),
        ("one.vmpool.infoset", ("1,x", True)),
        ("one.vm.migrate", (1, "2", True, True)),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(method: str, arguments: tuple[table.Argument, ...]) -> None:
    """An id that the gateway reads as another one than oned does would pass by the checks."""
    with pytest.raises(Invalid):
        table.find(method, arguments)


def test_detection_leaves_plain_tokens_and_passwords_alone() -> None:
    """Users without scoped tokens could not log in."""
    public = keys.stored(GATEWAY.public_key)
    assert vouching.trusts(ONE_VM.to_base64(), public)
    for secret in (plain().to_base64(), "opennebula", "x" * 500, "x" * 100_000):
        assert not vouching.trusts(secret, public)


@pytest.mark.parametrize(
    ("operations", "resources"),
    [
        ([], ["vm:1"]),
        (["vm:info"], []),
        (["vm"], ["vm:1"]),
        (['vm:info") or true'], ["vm:1"]),
        (["vm:info"], ["vm:x"]),
        (["vm:info"], ['vm", 1) or true']),
    ],
)
def test_what_is_no_operation_or_object_is_refused_when_it_is_written(
    operations: list[str], resources: list[str]
) -> None:
    """A typing error would make a token that permits everything, or nothing."""
    with pytest.raises(BadBlock):
        scoped.check(operations, resources, GATEWAY.public_key)
