"""`make mutants`: change one thing in a module that decides, guards, acts or parses; a test must notice.

A seeded sample of mutants (cosmic-ray makes them), each run against the tests of its module in a copy of this
checkout. ONEXT_SEED: the date by default; ONEXT_MUTANTS: how many; ONEXT_ONLY: of these, the modules whose path contains
one of its words (comma-separated); ONEXT_JOBS: processes, one for each core by default.
"""

from __future__ import annotations

import ast
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from tests.mutants.judge import Judge
from tests.mutants.modules import MODULES

ROOT = Path(__file__).parents[2]
MINUTES = 55.0
ENOUGH = 0.85
LIMIT = 99
PATIENCE = {"PATIENCE", "TIMEOUT"}  # words in the name of a constant that is seconds of waiting for an answer
_judges: list[Judge] = []  # the one of this process: what a pool calls is given only what can be sent
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

    def line(self) -> int:
        """Return the number of the first line that differs."""
        before = (ROOT / self.module).read_text(encoding="utf-8").splitlines()
        pairs = enumerate(zip(before, self.code().splitlines(), strict=False), 1)
        return next((number for number, (old, new) in pairs if old != new), len(before))

    def change(self) -> str:
        """Return the line that the change is on, before and after."""
        old, new = (
            text.splitlines()[self.line() - 1].strip()
            for text in ((ROOT / self.module).read_text(encoding="utf-8"), self.code())
        )
        return f"{self.module}:{self.line()}: {old}  ->  {new}"


def mutants() -> Iterator[Mutant]:
    """Return every mutant of the listed modules that changes what is executed."""
    operators = {name: get_operator(name)() for name in OPERATORS}
    for module in MODULES:
        tree = get_ast((ROOT / module).read_text(encoding="utf-8"))
        nodes = list(ast_nodes(tree))
        for name, operator in operators.items():
            count = sum(len(list(operator.mutation_positions(node))) for node in nodes)
            yield from (Mutant(module, name, number) for number in range(count))


def matters(mutant: Mutant) -> bool:
    """Return whether a mutant is a program that decides something else.

    Annotations, docstrings, a dataclass's `frozen` and `slots`, and the mark of keywords in a signature decide
    nothing; nor does one more or less of a
    limit of 100 and above, or of a module's seconds of patience, which were chosen: whether they are respected is
    what comparisons are mutated for.
    """
    try:
        old, new = _executed((ROOT / mutant.module).read_text(encoding="utf-8")), _executed(mutant.code())
    except SyntaxError:
        return False
    if mutant.operator == "core/NumberReplacer" and _is_limit(old, new):
        return False
    return ast.dump(old) != ast.dump(new)


def _is_limit(old: ast.Module, new: ast.Module) -> bool:
    pairs = [
        (one.value, other.value)
        for one, other in zip(ast.walk(old), ast.walk(new), strict=False)
        if isinstance(one, ast.Constant) and isinstance(other, ast.Constant) and one.value != other.value
    ]
    return all(isinstance(value, int | float) and value >= LIMIT for pair in pairs for value in pair)


def _executed(text: str) -> ast.Module:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            node.annotation = None if isinstance(node, ast.arg) else ast.Constant(None)
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
            node.args = _ordered(node.args)
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = []
    for seconds in _patience(tree):
        seconds.value = 1.0
    return tree


def _ordered(given: ast.arguments) -> ast.arguments:
    """Return parameters without the marks of how they are passed: `*` between them multiplies nothing."""
    return ast.arguments(
        posonlyargs=[],
        args=[*given.posonlyargs, *given.args, *given.kwonlyargs],
        vararg=given.vararg,
        kwonlyargs=[],
        kw_defaults=[],
        kwarg=given.kwarg,
        defaults=[*given.defaults, *(value for value in given.kw_defaults if value is not None)],
    )


def _patience(tree: ast.Module) -> Iterator[ast.Constant]:
    """Return the seconds of the module's constants of patience; 0 is none, and stays what it is."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = list(zip(names, values, strict=True))
            case ast.Assign(targets=[name], value=value):
                pairs = [(name, value)]
            case _:
                continue
        for pair in pairs:
            match pair:
                case (ast.Name(id=word), ast.Constant(value=float(seconds)) as number):
                    if seconds > 0 and PATIENCE & {*word.split("_")}:
                        yield number


def main() -> None:
    """Draw a sample, run it, print the survivors and the score; exit 1 where too many survive."""
    seed = int(os.environ.get("ONEXT_SEED", dt.datetime.now(dt.timezone.utc).strftime("%Y%m%d")))
    only = tuple(os.environ.get("ONEXT_ONLY", "").split(","))
    everything = list(mutants())
    sample = [
        mutant
        for mutant in drawn(everything, seed, int(os.environ.get("ONEXT_MUTANTS", "600")))
        if any(word in mutant.module for word in only)
    ]
    print(f"seed {seed}: {len(sample)} of {len(everything)} mutants", flush=True)
    ran, alive, broken = _run(sample)
    for mutant in alive:
        print(f"survived: {mutant.change()}")
    for module in broken:
        print(f"its tests fail without a change, so that nothing was measured: {module}")
    score = 1 - len(alive) / max(1, ran)
    print(f"{ran} mutants run, {len(alive)} survived: {100 * score:.1f} % were noticed")
    sys.exit(score < ENOUGH or bool(broken))


def drawn(everything: Sequence[Mutant], seed: int, wanted: int) -> list[Mutant]:
    """Return the first `wanted` mutants that matter, in an order that only the seed decides."""
    shuffled = Random(seed).sample(everything, len(everything))
    return list(islice((mutant for mutant in shuffled if matters(mutant)), wanted))


def _run(sample: Sequence[Mutant]) -> tuple[int, list[Mutant], list[str]]:
    """Run the mutants, on ONEXT_JOBS cores, until all are done or the time is up; each core has its copy.

    Return how many ran, those that survived, and the modules without a survivor whose tests fail unchanged.
    """
    ran, alive = 0, list[Mutant]()
    jobs = int(os.environ.get("ONEXT_JOBS", os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        work = partial(_judged, time.monotonic() + 60 * MINUTES)
        with get_context("fork").Pool(jobs, _prepare, (Path(folder),)) as pool:
            for mutant, survived in zip(sample, pool.imap(work, sample), strict=True):
                ran += survived is not None
                if survived:
                    alive.append(mutant)
                if survived or ran % 25 == 0:
                    print(f"  {ran}: {mutant.change() if survived else ''}", flush=True)
            doubtful = sorted(
                {mutant.module for mutant in sample[:ran]} - {mutant.module for mutant in alive}
            )
            passing = zip(doubtful, pool.imap(_passes_unchanged, doubtful), strict=True)
            return ran, alive, [module for module, passes in passing if not passes]


def _prepare(folder: Path) -> None:
    """Make this process's copy of the checkout."""
    copy = folder / str(os.getpid())
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".cache", "__pycache__"))
    _judges.append(Judge(copy))


def _judged(ends: float, mutant: Mutant) -> bool | None:
    """Return whether a mutant survives; None where the time is up."""
    if time.monotonic() > ends:
        return None
    return _judges[0].survives(mutant.module, mutant.code())


def _passes_unchanged(module: str) -> bool:
    return _judges[0].survives(module, (ROOT / module).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
