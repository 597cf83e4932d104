"""Whether a token authenticates an OpenNebula user: the rules, the limits, and the messages for oned.log.

The token must be signed by a stored key, state `user("<name>")` in its authority block, pass all its
checks (`time` is given, nothing else: a check on `operation` fails) and not be in the revocation list.
Stored keys: 64 hex digits (ed25519), `ed25519/<hex>` or `secp256r1/<hex>`, several joined by commas.

Every login pays for what is imported here.
"""

import _datetime  # type: ignore[import-not-found]
import posix  # not os, whose import costs more than the check of a token
import pyexpat
import resource
import sys
from _signal import alarm  # type: ignore[import-not-found]

# The library wants the C types of `datetime`; the module around them costs 2 ms before Python 3.12.
sys.modules.setdefault("datetime", _datetime)
import biscuit_auth  # noqa: E402 - after that

MAX_DOCUMENT = 65_536  # bytes of XML; more is read, so that oned can write, and refused
MAX_TOKEN = 16_384  # characters of base64
MAX_BLOCKS = 32
MAX_CPU = 1  # seconds; a good token takes a hundredth, a cross join hours
MAX_MEMORY = 268_435_456  # bytes; a good token takes a twentieth
MAX_WAIT = 60  # seconds of wall clock; oned waits 90
HEX = "0123456789abcdefABCDEF"
KEY_DIGITS = {"ed25519": 64, "secp256r1": 66}
ED25519_SIGNATURE = 64
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
WRITABLE_BY_ALL = 0o002
PIECE = 32_768  # bytes of the revocation list at once: twice as fast as all of it
LONGEST_LINE = 4096  # bytes of a line of it
ID_DIGITS = b"0123456789abcdef"
ID_LINE = 129  # bytes of a line with an id of ed25519
# How 64 bytes of a longer ECDSA signature begin: such an id was cut.
CUT = (b"30440220", b"30450220", b"30450221", b"30460221")

# No fact `user` here: it would satisfy the policy by itself. A time that the token states could replace the
# real time in the checks of later blocks.
POLICY = "allow if user({name}); reject if time($a), time($b), $a != $b;"


class Refused(Exception):
    """A rule refused the token; the message is `rule: reason`, without the token."""


def guard() -> None:
    """Limit what any token can cost: processor, memory, time, and no core file with the token in it."""
    lower(resource.RLIMIT_CPU, MAX_CPU, MAX_CPU + 1)
    lower(resource.RLIMIT_DATA, MAX_MEMORY, MAX_MEMORY)
    # 1, not 0: where core_pattern is a pipe, Linux dumps at 0 and never at 1.
    lower(resource.RLIMIT_CORE, 1, 1)
    alarm(MAX_WAIT)


def lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, or keep the lower one that is already there."""
    inherited = resource.getrlimit(which)[1]
    if inherited != resource.RLIM_INFINITY:
        soft, hard = min(soft, inherited), min(hard, inherited)
    resource.setrlimit(which, (soft, hard))


def standard_input() -> bytes:
    """Return oned's document; all of it is read, so that the auth manager's write never fails."""
    document = b""
    while chunk := posix.read(0, MAX_DOCUMENT):
        if len(document) <= MAX_DOCUMENT:
            document += chunk
    if len(document) > MAX_DOCUMENT:
        raise Refused(f"size: more than {MAX_DOCUMENT} bytes on standard input")
    return document


def fields(document: bytes) -> tuple[str, str, str]:
    """Return USERNAME, PASSWORD and SECRET; refuse a document that oned would not have written."""
    found: dict[str, str] = {}
    path: list[str] = []

    def start(tag: str, _attributes: object) -> None:
        path.append(tag)
        if path not in (["AUTHN"], ["AUTHN", tag]) or tag in found:
            raise Refused("input: an element at a place where oned writes none")
        if len(path) > 1:
            found[tag] = ""

    def text(characters: str) -> None:
        if len(path) > 1:
            found[path[-1]] += characters

    def doctype(*_declaration: object) -> None:
        raise Refused("input: a DOCTYPE")

    parser = pyexpat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _tag: path.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(document, True)
        return found["USERNAME"], found["PASSWORD"], found["SECRET"]
    except (pyexpat.ExpatError, KeyError):
        raise Refused("input: not the AUTHN document of oned") from None


def checked_name(name: str) -> str:
    """Return a name that can be printed on a line of words, as every user name of OpenNebula can."""
    if not name.isprintable() or name.split() != [name]:
        raise Refused("name: empty, or with white space or control characters")
    return name


def verified(secret: str, stored: str) -> tuple[biscuit_auth.Biscuit, str]:
    """Return the token and the stored key that signed it.

    A user whom oned does not know has `-` for a key: to the log it looks like any wrong signature.
    """
    token = readable(secret)
    for spelling in stored.split(","):
        key = public_key(spelling)
        if key is None:
            continue
        try:
            return biscuit_auth.Biscuit.from_base64(token, key), spelling
        except biscuit_auth.BiscuitValidationError:
            continue
    raise Refused("signature: not signed by a key that is stored for this name, or altered since")


def readable(secret: str) -> str:
    """Return the token in the alphabet of the library; refuse one that is too large or not a biscuit."""
    if len(secret) > MAX_TOKEN:
        raise Refused(f"size: a token of more than {MAX_TOKEN} characters")
    token = secret.strip().removeprefix("biscuit:").replace("+", "-").replace("/", "_")
    try:
        blocks = biscuit_auth.UnverifiedBiscuit.from_base64(token).block_count()
    except biscuit_auth.BiscuitValidationError:
        raise Refused("format: not a biscuit token, or cut or altered") from None
    if blocks > MAX_BLOCKS:
        raise Refused(f"size: a token of more than {MAX_BLOCKS} blocks")
    return token


def public_key(spelling: str) -> biscuit_auth.PublicKey | None:
    """Return a stored key; bare hex is ed25519. A text that is not a key verifies nothing."""
    if "/" not in spelling:
        spelling = "ed25519/" + spelling
    algorithm, _, digits = spelling.partition("/")
    if len(digits) != KEY_DIGITS.get(algorithm) or digits.strip(HEX):
        return None
    try:
        return biscuit_auth.PublicKey(spelling)
    except ValueError:
        return None


def refuse_revoked(identifiers: list[str], revoked: str) -> None:
    """Refuse a token of which any block is in the revocation list, and every token where that is unreadable.

    A line holds an id and after white space a remark, or nothing but a remark that begins with `#`.
    """
    forms = {
        form.hex().encode(): number
        for number, identifier in enumerate(identifiers)
        for form in signature_forms(bytes.fromhex(identifier))
    }
    try:
        with open(revoked, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs 5 ms
            if posix.fstat(file.fileno()).st_mode & WRITABLE_BY_ALL:
                raise Refused(f"revocation list: {revoked} is writable for all users: every login is refused")
            text, before = b"", 0
            while piece := file.read(PIECE):
                text += piece.lower()
                for form, number in forms.items():
                    if form in text:
                        raise Refused(f"revoked: block {number} is in {revoked}")
                end = text.rfind(b"\n") + 1
                check_lines(text[:end], before, revoked)
                before += text.count(b"\n")
                text = text[end:]
                if len(text) > LONGEST_LINE:
                    break
            check_lines(text, before, revoked)
    except OSError as error:
        raise Refused(f"revocation list: {revoked}: {error.strerror}: every login is refused") from None


def check_lines(text: bytes, before: int, revoked: str) -> None:
    """Refuse every token when one of these whole lines, after `before` others, is not one of the list's."""
    ends = text[ID_LINE - 1 :: ID_LINE]
    plain = len(text) == ID_LINE * len(ends) and ends == b"\n" * text.count(b"\n")
    if plain and not text.translate(None, ID_DIGITS + b"\n") and b"\n304" not in b"\n" + text:
        return  # ids of ed25519 and nothing else, in a hundredth of the time
    for number, line in enumerate(text.split(b"\n"), before + 1):
        words = line.split(None, 1)
        remark = not words or words[0].startswith(b"#")
        if len(line) > LONGEST_LINE or not (remark or is_identifier(words[0])):
            raise Refused(
                f"revocation list: {revoked}:{number} is not a revocation id: every login is refused"
            )


def is_identifier(word: bytes) -> bool:
    """Whether a word in lower case is a whole signature: 64 bytes of ed25519, or DER of two numbers."""
    if word.translate(None, ID_DIGITS) or len(word) % 2:
        return False
    if len(word) == 2 * ED25519_SIGNATURE:
        return not word.startswith(CUT)
    data = bytes.fromhex(word.decode())
    if not 8 <= len(data) <= 72 or data[0] != 0x30 or data[1] != len(data) - 2 or data[2] != 2:
        return False
    after_r = 4 + data[3]
    return after_r + 2 < len(data) and data[after_r] == 2 and data[after_r + 1] == len(data) - after_r - 2


def signature_forms(signature: bytes) -> list[bytes]:
    """Return every form in which a block's signature, its revocation id, is valid.

    An ECDSA signature (r, s) is as good as (r, n - s): unless both are searched for, the holder of a revoked
    token signed by a secp256r1 key makes from it one that is not in the list.
    """
    if len(signature) == ED25519_SIGNATURE:
        return [signature]
    after_r = 4 + signature[3]
    s = P256_ORDER - int.from_bytes(signature[after_r + 2 :], "big")
    other = s.to_bytes(s.bit_length() // 8 + 1, "big")
    body = signature[2:after_r] + bytes((2, len(other))) + other
    return [signature, bytes((0x30, len(body))) + body]


def limit(builder: biscuit_auth.AuthorizerBuilder) -> None:
    """Raise the library's 1 ms of wall clock, which refuses good tokens on a loaded machine."""
    limits = builder.limits()  # type: ignore[attr-defined]  # biscuit-python 0.4's stub omits it
    limits.max_time = _datetime.timedelta(seconds=MAX_WAIT)
    builder.set_limits(limits)  # type: ignore[attr-defined]


def authorise(token: biscuit_auth.Biscuit, name: str) -> None:
    """Refuse a token that does not state this user, or of which a check fails now."""
    builder = biscuit_auth.AuthorizerBuilder(POLICY, {"name": name})
    builder.set_time()  # type: ignore[attr-defined]  # biscuit-python 0.4's stub omits it
    limit(builder)
    try:
        builder.build(token).authorize()
    except biscuit_auth.AuthorizationError as error:
        raise Refused(reason(str(error))) from None
    except biscuit_auth.BiscuitValidationError:
        raise Refused("check: the token holds a rule that cannot be evaluated") from None


def reason(message: str) -> str:
    """Return the rule that the library's message names, which ends in text of the token's holder."""
    import re  # only a refusal pays for it

    verdict, _, failed = message.partition(", and the following checks failed: ")
    if "no matching policy" in verdict:
        return "user: the authority block does not state this user"
    if failed.startswith("Check n°0 in authorizer"):
        return "time: the authority block contains a time fact"
    expiry = re.search(r"in block n°(\d+): check if time\(\$(\w+)\), \$\2 <=? ([-:.\w]+)", failed)
    if expiry:
        return f"expired: block {expiry[1]} was valid until {expiry[3]}"
    return f"check: {ascii(failed or verdict)[1:200]}"


def decide(revoked: str) -> str:
    """Return the line for oned, or raise Refused; `revoked` is the revocation list's path."""
    name, stored, secret = fields(standard_input())
    name = checked_name(name)
    token, key = verified(secret, stored)
    refuse_revoked(token.revocation_ids, revoked)
    authorise(token, name)
    return f"biscuit {name} {key}\n"


def main(revoked: str) -> int:
    """Answer oned and return the exit code."""
    try:
        guard()
        line = decide(revoked)
    except Refused as refusal:
        posix.write(2, f"biscuit: refused: {refusal}\n".encode())
    except BaseException as error:  # noqa: BLE001 - also the library's panic, which is not an Exception
        posix.write(2, f"biscuit: refused: internal: {type(error).__name__}\n".encode())
    else:
        posix.write(1, line.encode())
        return 0
    return 1
