"""`onext biscuit` as a person uses it, on a machine without a front-end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from biscuit_auth import PrivateKey

from onext.biscuit import keys, policy, tokens

from .conftest import Run


def one_auth(home: Path) -> Path:
    """Return the file that oneuser and pyone read."""
    return home / ".one/one_auth"


def test_from_nothing_to_a_login(home: Path, run: Run) -> None:
    """A new user does not get from no key to a login by what the commands say."""
    said = run("keygen")
    assert said.exit_code == 0
    key = home / ".one/biscuit.key"
    assert key.stat().st_mode & 0o777 == 0o600
    public = keys.stored(keys.public_of(keys.read_private(key)))
    assert f"oneuser create NAME {public} --driver biscuit" in said.output
    assert str(keys.read_private(key)) not in said.output

    assert run("login", "dann1").exit_code == 0
    user, _, token = one_auth(home).read_text().partition(":")
    assert user == "dann1"
    assert one_auth(home).stat().st_mode & 0o777 == 0o600
    policy.check(tokens.verified(token, keys.read_public(public)), "dann1")
    assert token not in said.output
    assert "dann1 can log in: valid for 59 min" in run("verify", "--user", "dann1", "--key", public).output


def test_keygen_twice(home: Path, run: Run) -> None:
    """The second keygen takes the user's login away."""
    assert run("keygen").exit_code == 0
    before = (home / ".one/biscuit.key").read_text()
    again = run("keygen")
    assert (again.exit_code, "never overwritten" in again.output) == (1, True)
    assert (home / ".one/biscuit.key").read_text() == before


@pytest.mark.parametrize("options", [["--format", "pem"], ["--format", "bare"], ["--algorithm", "secp256r1"]])
def test_other_keys(run: Run, home: Path, options: list[str]) -> None:
    """A key in PEM or of the other algorithm is made and then not read."""
    made = run("keygen", "--out", home / "k", *options)
    assert made.exit_code == 0
    assert run("login", "u", "--key", home / "k").exit_code == 0
    public = next(line.split()[-1] for line in made.output.splitlines() if line.startswith("Public key"))
    assert run("verify", "--user", "u", "--key", public).exit_code == 0


def test_a_join_token_stays_one(run: Run) -> None:
    """Its holder had to put it together again, and was warned that OpenNebula refuses it."""
    signer = keys.generate()
    public = keys.stored(keys.public_of(signer))
    biscuit = tokens.mint(signer, "u", None).to_base64()
    made = run("attenuate", "-", "--key", public, "--ttl", "10m", stdin=f"onext-edge:eyJz:{biscuit}\n")
    assert made.stderr == ""
    head, _, narrowed = made.stdout.strip().rpartition(":")
    assert head == "onext-edge:eyJz"
    assert tokens.verified(narrowed, keys.read_public(public)).block_count() == 2


def test_bare_hex_in_a_file_is_a_public_key(run: Run, home: Path) -> None:
    """A public key in a file is taken for the secret of another one, which everybody can compute."""
    signer = keys.generate()
    public = keys.stored(keys.public_of(signer))
    (home / "public").write_text(public)
    forged = tokens.mint(keys.parse_private(public), "u", None).to_base64()
    assert run("verify", "-", "--user", "u", "--key", home / "public", stdin=forged).exit_code == 1
    good = tokens.mint(signer, "u", None).to_base64()
    assert run("verify", "-", "--user", "u", "--key", home / "public", stdin=good).exit_code == 0


def test_renew(home: Path, run: Run, private: PrivateKey) -> None:
    """The timer replaces somebody's password, or does not renew."""
    refused = run("login", "--renew")
    assert (refused.exit_code, "log in once" in refused.output) == (1, True)
    run("login", "dann1", "--ttl", "10m")
    first = one_auth(home).read_text()
    assert run("login", "--renew", "--ttl", "2h").exit_code == 0
    assert one_auth(home).read_text().startswith("dann1:")
    assert one_auth(home).read_text() != first
    assert run("login", "--renew", "other").exit_code == 1
    one_auth(home).write_text("dann1:password")
    assert run("login", "--renew").exit_code == 1
    assert one_auth(home).read_text() == "dann1:password"


def test_a_password_is_not_lost(home: Path, run: Run, private: PrivateKey) -> None:
    """Logging in destroys the only copy of a password."""
    one_auth(home).write_text("dann1:password")
    refused = run("login", "dann1")
    assert (refused.exit_code, "nothing was written" in refused.output) == (1, True)
    assert one_auth(home).read_text() == "dann1:password"
    assert run("login", "dann1", "--force").exit_code == 0
    kept = home / ".one/one_auth.before-biscuit"
    assert kept.read_text() == "dann1:password"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert run("login").exit_code == 0
    assert one_auth(home).read_text().startswith("dann1:")


@pytest.mark.parametrize("service", ["oneadmin", "serveradmin"])
def test_the_front_ends_own_login_is_never_touched(
    home: Path, run: Run, private: PrivateKey, service: str
) -> None:
    """On the front-end, oned and its drivers can no longer log in."""
    one_auth(home).write_text(f"{service}:password")
    refused = run("login", "dann1", "--force")
    assert (refused.exit_code, "--print" in refused.output) == (1, True)
    assert one_auth(home).read_text() == f"{service}:password"


def test_print_leaves_one_auth_alone(home: Path, run: Run, private: PrivateKey) -> None:
    """Two users on one machine cannot be logged in side by side."""
    one_auth(home).write_text("oneadmin:password")
    said = run("login", "dann1/x", "--print")
    assert said.output == f"export ONE_AUTH={home}/.one/dann1%2Fx.token\n"
    assert one_auth(home).read_text() == "oneadmin:password"
    assert (home / ".one/dann1%2Fx.token").read_text().startswith("dann1/x:")


def test_attenuate(run: Run, private: PrivateKey) -> None:
    """A token for a script cannot be made shorter or smaller than one's own."""
    public = keys.stored(keys.public_of(private))
    run("login", "dann1")
    made = run("attenuate", "--key", public, "--ttl", "5m", "--block", 'check if user("dann1")')
    assert made.exit_code == 0
    shown = json.loads(run("inspect", "-", "--json", stdin=made.output).output)
    assert [block["block"] for block in shown["blocks"]] == [0, 1, 2]
    assert shown["expires"] == shown["blocks"][1]["expires"]
    assert shown["users"] == ["dann1"]
    assert shown["signature_checked"] is False
    assert run("verify", "-", "--user", "dann1", "--key", public, stdin=made.output).exit_code == 0
    assert run("attenuate", "--key", public).exit_code == 2
    foreign = keys.stored(keys.public_of(keys.generate()))
    assert run("attenuate", "--key", foreign, "--ttl", "5m").exit_code == 1


def test_inspect_in_words(run: Run, private: PrivateKey) -> None:
    """Nobody can tell what a token holds."""
    made = run("token", "--user", "dann1", "--ttl", "2h", "--block", "check if true").output
    said = run("inspect", "-", "--key", keys.stored(keys.public_of(private)), stdin=made).output
    assert said.startswith("Token for dann1; valid for 119 min; signature good\n")
    assert "Block 1 (added later, can only restrict)\n  check if true\n  revocation id  " in said


def test_a_token_cannot_steer_the_terminal(run: Run, private: PrivateKey) -> None:
    """Whoever sends a token for inspection writes on the screen of the administrator."""
    made = run("token", "--user", "a\x1b[2J\nb").output
    said = run("inspect", "-", stdin=made).output
    assert "\x1b" not in said
    assert "a\\x1b[2J\\nb" in said


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["token", "--user", "other"], "refused: user:"),
        (["token", "--user", "dann1", "--block", "check if false"], "refused: check:"),
    ],
)
def test_verify_names_the_rule(run: Run, private: PrivateKey, words: list[str], rule: str) -> None:
    """A user cannot find out why the door stays shut."""
    said = run(
        "verify",
        "-",
        "--user",
        "dann1",
        "--key",
        keys.stored(keys.public_of(private)),
        stdin=run(*words).stdout,
    )
    assert (said.exit_code, rule in said.output) == (1, True)


def test_verify_looks_into_a_list(run: Run, home: Path, private: PrivateKey) -> None:
    """An administrator cannot try a revocation list."""
    made = run("token", "--user", "dann1").output
    shown = json.loads(run("inspect", "-", "--json", stdin=made).output)
    (home / "list").write_text(f"# x\n{shown['blocks'][0]['revocation_id'].upper()} # lost\n")
    said = run(
        "verify",
        "-",
        "--user",
        "dann1",
        "--key",
        keys.stored(keys.public_of(private)),
        "--revoked",
        home / "list",
        stdin=made,
    )
    assert (said.exit_code, "refused: revoked:" in said.output) == (1, True)


def test_warns_of_a_key_that_others_read(run: Run, home: Path, private: PrivateKey) -> None:
    """A key file of the biscuit CLI, readable by everybody, goes unnoticed; or is not usable at all."""
    (home / ".one/biscuit.key").chmod(0o644)
    said = run("token", "--user", "a")
    assert said.exit_code == 0
    assert "warning: other users can read" in said.stderr


@pytest.mark.parametrize("words", [["--ttl", "soon"], ["--ttl", "0s"], ["--block", "check"]])
def test_slips_of_the_pen(run: Run, private: PrivateKey, words: list[str]) -> None:
    """A typing error is a traceback or a token without the restriction."""
    said = run("token", "--user", "a", *words)
    assert said.exit_code in (1, 2)
    assert said.exception is None or isinstance(said.exception, SystemExit)
    assert "Error: " in said.stderr


@pytest.mark.process
def test_on_a_workstation(home: Path) -> None:
    """`onext biscuit` needs a front-end's packages, which a user's machine does not have."""
    program = (
        "import sys\n"
        "for name in ('pyone', 'pydantic', 'ruamel', 'ruamel.yaml', 'requests', 'hooks', 'drivers', 'exporter'):\n"
        "    sys.modules[name] = None\n"
        "from onext.biscuit.commands import biscuit\n"
        "biscuit(sys.argv[1:])\n"
    )
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    for words in (["keygen"], ["login", "dann1"], ["inspect"], ["login", "--renew"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    for words in (["check"], ["revoke", "--id", "ab" * 64]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "as oneadmin" in done.stderr


@pytest.mark.process
def test_a_token_that_computes_for_hours(home: Path, run: Run, private: PrivateKey) -> None:
    """Whoever looks at a stranger's token cannot even stop it with Ctrl-C."""
    facts = "".join(f"n({number});" for number in range(40))
    body = ", ".join(f"n($x{number})" for number in range(8))
    made = run("token", "--user", "a", "--block", f"{facts} check if {body}, $x0 + $x1 < 0")
    assert "evaluating its checks takes more than 5 s of CPU time" in made.stderr
    bomb = made.stdout
    key = keys.stored(keys.public_of(private))
    command = [sys.executable, "-m", "onext.biscuit", "verify", "-", "--user", "a", "--key", key]
    done = subprocess.run(command, input=bomb.encode(), capture_output=True, check=False, timeout=280)
    assert done.returncode == -signal.SIGVTALRM
    assert run("inspect", "-", stdin=bomb).exit_code == 0


@pytest.mark.parametrize(
    "block",
    [
        'check if operation("read")',
        'check if resource("vm", "7")',
        "check if time($t), $t > 2100-01-01T00:00:00Z",
    ],
)
def test_E5_a_token_that_will_be_refused_is_issued_with_a_warning(
    home: Path, run: Run, private: PrivateKey, block: str
) -> None:
    """A user narrows a token to an operation, and learns at the first call that it never opens."""
    public = keys.stored(keys.public_of(private))
    for words in (
        ("token", "--user", "dann1", "--block", block),
        ("login", "dann1", "--force", "--block", block),
    ):
        said = run(*words)
        assert said.exit_code == 0
        assert "warning: OpenNebula will refuse this token: check: " in said.stderr
        assert "no operation or resource" in said.stderr
    good = run("token", "--user", "dann1", "--block", 'check if user("dann1")')
    assert good.stderr == ""
    narrowed = run("attenuate", "-", "--key", public, "--block", block, stdin=good.stdout)
    assert "warning: OpenNebula will refuse this token" in narrowed.stderr
    assert tokens.unverified(narrowed.stdout.strip()).block_count() == 3
    assert run("attenuate", "-", "--key", public, "--ttl", "5m", stdin=good.stdout).stderr == ""
