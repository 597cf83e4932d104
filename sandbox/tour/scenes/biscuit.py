"""Tokens instead of passwords."""

import xmlrpc.client

from sandbox.tour import tell
from sandbox.tour.stage import Stage

NEEDS = "var/remotes/auth/biscuit/authenticate"
_USER = "dann1"


def play(stage: Stage) -> None:
    """Make a key and its user, log in, call the API with the token, revoke it."""
    tell.chapter("Biscuit: a user logs in with a token that states its rights and its end")
    home = stage.folder / "home"
    home.mkdir()
    logged_in = home / ".one/one_auth"
    user = f"HOME={home} ONE_AUTH={logged_in}"  # the user's own shell
    made = stage.typed(f"{user} onext biscuit keygen")
    key = next(line.split()[-1] for line in made.splitlines() if line.startswith("Public key"))
    stage.typed(f"oneuser create {_USER} {key} --driver biscuit")
    stage.typed(f"{user} onext biscuit login {_USER}")
    session = logged_in.read_text().strip()
    tell.line(f"  one.user.info with the token: {answer(stage, session)}")
    stage.typed(f"onext biscuit revoke {logged_in} --now")
    tell.line(f"  one.user.info with the token: {answer(stage, session)}")
    log = (stage.location / "var/oned.log").read_text().splitlines()
    refusal = [line for line in log if "biscuit: refused" in line][-1]
    tell.line(f"  oned.log has the reason: {refusal[refusal.index('biscuit') :]}")


def answer(stage: Stage, session: str) -> str:
    """Return oned's answer to a user who asks for the own user."""
    with xmlrpc.client.ServerProxy(stage.endpoint) as proxy:
        answered: list[str] = getattr(proxy, "one.user.info")(session, -1)
    return f"welcome, {_USER}" if answered[0] and _USER in answered[1] else f"refused: {answered[1]}"
