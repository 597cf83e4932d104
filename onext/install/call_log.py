"""The line of oned.conf by which oned logs API calls without their parameters: text in, text out.

oned's own default logs the first characters of each parameter (`%l`), passwords of users among them. The
format ends with a secret word, by which lines of oned are told from those that users make it log.
"""

from __future__ import annotations

import re
import secrets

NAME = "LOG_CALL_FORMAT"
FORMAT = "Req:%i UID:%u IP:%A %m invoked"
_BEGIN = "# onext: install.sh --uninstall takes the next line out\n"
_OURS = re.compile(rf'{re.escape(_BEGIN)}{NAME} = "{re.escape(FORMAT)}[^"\n]*"\n')
_WORD = re.compile(rf"{re.escape(FORMAT)} [0-9a-f]{{32}} .+")
_LINE = re.compile(rf'(?mi)^[ \t]*{NAME}[ \t]*=[ \t]*"([^"\n]*)"[^\n]*\n?')
_OFF = "#onext-call-log# "
_SECRET = {"%a": "tokens", "%p": "passwords", "%l": "parameters"}


def problems(text: str) -> list[str]:
    """Return what is wrong, in words; nothing when all is well."""
    match = _LINE.search(text)
    if match is None:
        return [f"{NAME} is not set: oned logs parameters of calls, passwords among them"]
    found = [f"{NAME} logs {what}" for sign, what in _SECRET.items() if sign in match.group(1)]
    if not match.group(1).startswith(FORMAT):
        found.append(f"{NAME} is not of the form that audit events are read from: {FORMAT}")
    elif not _WORD.fullmatch(match.group(1)):
        found.append(f"{NAME} has no secret word: users can make oned log lines that look like calls")
    return found


def add(text: str) -> str:
    """Return the text with the format; another one is switched off, and kept as a comment."""
    if not problems(text):
        return text
    text = _OURS.sub("", text)  # one of an earlier version, without the word
    text = _LINE.sub(lambda match: _OFF + match.group(0).rstrip("\n") + "\n", text)
    # %i comes last: oned drops the last character of a format that does not end in such a letter
    line = f'{NAME} = "{FORMAT} {secrets.token_hex(16)} %i"\n'
    return text + ("" if text.endswith("\n") or not text else "\n") + _BEGIN + line


def remove(text: str) -> str:
    """Return the text as `add` got it; but for an end of line that its last line lacked."""
    return _OURS.sub("", text, count=1).replace(_OFF, "")
