"""`make fuzz`: 200,000 mutated tokens and more, mutated documents, and some of both through the real process."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from drivers.auth.biscuit import decision
from tests.fuzz import campaign
from tests.fuzz.judge import GUARDS, Judge

TOKENS, SPELLINGS, DOCUMENTS = 200_000, 20_000, 20_000


def main() -> None:
    """Run until there were enough; a finding ends it with the smallest example that shows it."""
    with tempfile.TemporaryDirectory() as folder:
        revoked = Path(folder) / "revoked"
        revoked.touch(0o640)
        judge = Judge(decision, revoked)
        started = time.monotonic()
        done = 0
        while done < TOKENS:
            done += campaign.tokens(judge, 2_000)
            print(f"{done} tokens, {time.monotonic() - started:.0f} s: {_outcomes(judge)}", flush=True)
        done = campaign.spellings(judge, SPELLINGS) + campaign.documents(judge, DOCUMENTS)
        print(f"and {done} spellings and documents: {_outcomes(judge)}")


def _outcomes(judge: Judge) -> str:
    ended = sum(judge.seen[guard] for guard in GUARDS)
    return f"{judge.seen[0]} let in (all verified by the library), {judge.seen[1]} refused, {ended} ended by a guard"


if __name__ == "__main__":
    main()
