"""`make mutants`: change one thing in a module that decides, guards, acts or parses; a test must notice.

A seeded sample of mutants (cosmic-ray makes them), each run against the tests of its module in a copy of this
checkout. ONEXT_SEED: the date by default; ONEXT_MUTANTS: how many; ONEXT_ONLY: modules whose path contains it.
"""

from __future__ import annotations

import ast
import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from random import Random

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tests.mutants.modules import MODULES

ROOT = Path(__file__).parents[2]
MINUTES = 55.0
PATIENCE = 150.0  # seconds for the tests of one mutant; one that hangs is noticed
ENOUGH = 0.85
COMPARISONS = (
    "Lt_LtE",
    "LtE_Lt",
    "Gt_GtE",
    "GtE_Gt",
    "Lt_Gt",
    "Gt_Lt",
    "Eq_NotEq",
    "NotEq_Eq",
    "Is_IsNot",
    "IsNot_Is",
)
BINARY = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "BitAnd_BitOr", "BitOr_BitAnd")
OPERATORS = (
    *(f"core/ReplaceComparisonOperator_{name}" for name in COMPARISONS),
    *(f"core/ReplaceBinaryOperator_{name}" for name in BINARY),
    "core/NumberReplacer",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/AddNot",
    "core/ZeroIterationForLoop",
)


@dataclass(frozen=True)
class Mutant:
    """One change of a module."""

    module: str
    operator: str
    occurrence: int

    def code(self) -> str:
        """Return the module's text with the change."""
        text = (ROOT / self.module).read_text(encoding="utf-8")
        return str(mutate_code(text, get_operator(self.operator)(), self.occurrence))

    def change(self) -> str:
        """Return the line that the change is on, before and after."""
        before = (ROOT / self.module).read_text(encoding="utf-8").splitlines()
        for number, (old, new) in enumerate(zip(before, self.code().splitlines(), strict=False), 1):
            if old != new:
                return f"{self.module}:{number}: {old.strip()}  ->  {new.strip()}"
        return f"{self.module}: {self.operator} {self.occurrence}"


def mutants(only: str) -> Iterator[Mutant]:
    """Return every mutant of the listed modules that changes what is executed."""
    operators = {name: get_operator(name)() for name in OPERATORS}
    for module in MODULES:
        if only not in module or not (ROOT / module).is_file():
            continue
        tree = get_ast((ROOT / module).read_text(encoding="utf-8"))
        nodes = list(ast_nodes(tree))
        for name, operator in operators.items():
            count = sum(len(list(operator.mutation_positions(node))) for node in nodes)
            yield from (Mutant(module, name, number) for number in range(count))


def matters(mutant: Mutant) -> bool:
    """Return whether a mutant is a program, and another one: annotations and docstrings are not executed."""
    try:
        return _executed(mutant.code()) != _executed((ROOT / mutant.module).read_text(encoding="utf-8"))
    except SyntaxError:
        return False


def _executed(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            node.annotation = None if isinstance(node, ast.arg) else ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.dump(tree)


def survives(mutant: Mutant, copy: Path) -> bool:
    """Run the tests of a mutant's module in a copy; return whether none of them failed."""
    target = copy / mutant.module
    before = target.read_text(encoding="utf-8")
    tests = [path for path in MODULES[mutant.module] if (copy / path).exists()]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:randomly", *tests]
    target.write_text(mutant.code(), encoding="utf-8")
    try:
        env = {**os.environ, "PYTHONPATH": str(copy), "CI": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(before, encoding="utf-8")
    return done.returncode == 0


def main() -> None:
    """Draw a sample, run it, print the survivors and the score; exit 1 where too many survive."""
    seed = int(os.environ.get("ONEXT_SEED", dt.datetime.now(dt.timezone.utc).strftime("%Y%m%d")))
    wanted = int(os.environ.get("ONEXT_MUTANTS", "600"))
    everything = list(mutants(os.environ.get("ONEXT_ONLY", "")))
    Random(seed).shuffle(everything)
    sample: list[Mutant] = []
    for mutant in everything:
        if len(sample) >= wanted:
            break
        if matters(mutant):
            sample.append(mutant)
    print(f"seed {seed}: {len(sample)} of {len(everything)} mutants", flush=True)
    ran, alive = _run(sample)
    for mutant in alive:
        print(f"survived: {mutant.change()}")
    score = 1 - len(alive) / max(1, ran)
    print(f"{ran} mutants run, {len(alive)} survived: {100 * score:.1f} % were noticed")
    sys.exit(score < ENOUGH)


def _run(sample: list[Mutant]) -> tuple[int, list[Mutant]]:
    """Run mutants on each core in a copy of its own, until all are done or the time is up."""
    ends = time.monotonic() + 60 * MINUTES
    ran, alive = 0, list[Mutant]()
    with tempfile.TemporaryDirectory() as folder:
        copies: Queue[Path] = Queue()
        cores = os.cpu_count() or 1
        for number in range(cores):
            copy = Path(folder) / str(number)
            shutil.copytree(
                ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".cache", "__pycache__")
            )
            copies.put(copy)

        def judged(mutant: Mutant) -> bool | None:
            if time.monotonic() > ends:
                return None
            copy = copies.get()
            try:
                return survives(mutant, copy)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(cores) as pool:
            for mutant, survived in zip(sample, pool.map(judged, sample), strict=True):
                ran += survived is not None
                if survived:
                    alive.append(mutant)
                    print(f"  {mutant.change()}", flush=True)
    return ran, alive


if __name__ == "__main__":
    main()
