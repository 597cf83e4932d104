"""The check of a join token: signed by this zone, for this node, and not expired."""

from __future__ import annotations

import io
import json
import resource
import sys
from datetime import datetime, timedelta, timezone

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, KeyPair

from hooks.edge import verify_token
from hooks.edge.verify_token import LARGEST, MOST_BLOCKS, Refused, check

PAIR = KeyPair()
KEY = str(PAIR.public_key).removeprefix("ed25519/")
SOON = datetime.now(timezone.utc) + timedelta(days=1)
RULES = 'edge_token(7); edge_cluster(100); check if name($n), $n.starts_with("edge-"); check if time($t), $t <= {e}'


def token(source: str = RULES, expires: datetime = SOON) -> Biscuit:
    """Return a token of this zone."""
    values = {"e": expires} if "{e}" in source else {}
    return BiscuitBuilder(source, values).build(PAIR.private_key)


def checked(given: Biscuit | str, name: str = "edge-1", node_key: str = "ab") -> int:
    """Return what the check returns for a node."""
    text = given if isinstance(given, str) else given.to_base64()
    return check({"token": text, "key": KEY, "name": name, "node_key": node_key})


def narrowed(*blocks: str) -> Biscuit:
    """Return a token with blocks that its holder added."""
    made = token()
    for block in blocks:
        made = made.append(BlockBuilder(block))
    return made


def test_a_token_is_for_what_it_states() -> None:
    """A token for one name would let any machine in."""
    assert checked(token()) == 7
    bound = narrowed('check if node_key("ab"), cluster(100)')
    assert checked(bound) == 7
    assert checked(bound.to_base64().replace("-", "+").replace("_", "/")) == 7, "mail programs do that"
    for name, key in (("other", "ab"), ("edge-1", "ac")):
        with pytest.raises(Refused, match="a restriction of the token is not met"):
            checked(bound, name, key)
    with pytest.raises(Refused, match=r"not met: check if cluster\(101\)$"):
        checked(narrowed("check if cluster(101)"))


def test_a_token_ends() -> None:
    """A token in an old mail would be an open door; the person who waits reads when it ended."""
    past = datetime(2020, 2, 3, tzinfo=timezone.utc)
    with pytest.raises(Refused, match="the token expired at 2020-02-03T00:00:00Z"):
        checked(token(expires=past))
    with pytest.raises(Refused, match="the token expired at 2020-02-03T00:00:00Z"):
        checked(narrowed("time(2020-01-01T00:00:00Z)", "check if time($t), $t < 2020-02-03T00:00:00Z"))


@pytest.mark.parametrize(
    "source",
    ["edge_cluster(100)", "edge_token(7)", "edge_token(7); edge_token(8); edge_cluster(100)",
     'edge_token("7"); edge_cluster(100)', "other(1)"],
)  # fmt: skip
def test_what_states_no_record_is_no_join_token(source: str) -> None:
    """A token of another kind that this zone signed must not admit a node, nor one with an unclear record."""
    with pytest.raises(Refused, match="not a join token"):
        checked(token(source))


def test_a_holder_states_nothing() -> None:
    """A holder would turn a token into that of another record or another cluster."""
    with pytest.raises(Refused, match="not a join token"):
        checked(token("check if true").append(BlockBuilder("edge_token(7); edge_cluster(100)")))
    assert checked(narrowed("edge_token(8); edge_cluster(101)")) == 7
    with pytest.raises(Refused, match=r"restriction of the token is not met: check if cluster\(101\)$"):
        checked(narrowed("edge_cluster(101)", "check if cluster(101)"))


def test_another_zones_token_and_an_altered_one() -> None:
    """Whoever makes tokens of their own would add nodes to this zone."""
    foreign = BiscuitBuilder("edge_token(7); edge_cluster(100)").build(KeyPair().private_key)
    for text in (foreign.to_base64(), token().to_base64()[:-9], "x", ""):
        with pytest.raises(Refused, match="not signed by this zone"):
            checked(text)


def test_a_token_has_bounds() -> None:
    """What takes seconds to read is refused before it is read."""
    assert checked(narrowed(*["check if true"] * (MOST_BLOCKS - 1))) == 7
    with pytest.raises(Refused, match="more than 16 blocks"):
        checked(narrowed(*["check if true"] * MOST_BLOCKS))
    with pytest.raises(Refused, match="longer than"):
        checked("x" * (LARGEST + 1))
    with pytest.raises(Refused, match="not signed"):
        checked("x" * LARGEST)


def test_it_answers_in_one_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker reads the number, or the reason that the node is told; the process has seconds, and no core file."""
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    for text, expected in ((token().to_base64(), {"id": 7}), ("x", {"refused": "not signed"})):
        asked = {"token": text, "key": KEY, "name": "edge-1", "node_key": "ab"}
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
        verify_token.main()
        answer = json.loads(capsys.readouterr().out)
        assert answer.keys() == expected.keys()
        assert str(expected.get("refused", "7")) in str(answer)
    assert limits == {resource.RLIMIT_CPU: (2, 2), resource.RLIMIT_CORE: (0, 0)}
