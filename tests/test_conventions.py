"""What a reader may rely on in every file of this project."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.mutants.modules import MODULES

ROOT = Path(__file__).parent.parent
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (ROOT / ".git").exists(), reason="not a git checkout: nothing tells which files are ours"
    ),
]


def test_every_test_says_what_a_user_would_lose() -> None:
    """A test whose purpose nobody knows is deleted or loosened by the next person who meets it."""
    silent = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in tracked("tests/**/test_*.py", "tests/test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_modules_are_named_for_what_they_are() -> None:
    """A room called `utils` is where things get lost."""
    named = {part for file in tracked("*.py") for part in (*file.relative_to(ROOT).parts[:-1], file.stem)}
    assert named & FORBIDDEN_NAMES == set()


def test_no_module_outgrows_a_reader() -> None:
    """A module beyond 350 lines is two rooms in one."""
    grown = {
        str(file.relative_to(ROOT)): count
        for file in tracked(
            "onext/*.py", "hooks/*.py", "exporter/*.py", "gateway/*.py", "sandbox/*.py", "drivers/*.py"
        )
        if (count := len(file.read_text().splitlines())) > 350
    }
    assert grown == {}


def test_nothing_else_is_at_the_top() -> None:
    """A command that is tried in the wrong folder leaves a file that everybody downloads."""
    assert {file.name for file in tracked() if file.parent == ROOT} == {
        ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md",
        "install.sh", "mkdocs.yml", "pyproject.toml",
    }  # fmt: skip


def test_shells_and_broad_handlers_stand_nowhere() -> None:
    """A shell string from data is a hole; a bare except hides the fault that somebody must find."""
    found = []
    for file in tracked(
        "onext/*.py", "hooks/*.py", "exporter/*.py", "gateway/*.py", "drivers/*.py", "sandbox/*.py"
    ):
        for node in ast.walk(ast.parse(file.read_text())):
            shell = isinstance(node, ast.keyword) and node.arg == "shell"
            bare = isinstance(node, ast.ExceptHandler) and node.type is None
            if shell or bare:
                found.append(f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}")
    assert found == []


def test_subprocesses_go_through_their_doors() -> None:
    """Outside the doors a failure tells neither command nor output, and a hanging one never ends."""
    doors = {"onext/process.py", "exporter/scaphandre/node.py"}  # the second runs alone, on a node
    importers = {
        str(file.relative_to(ROOT))
        for file in tracked("onext/*.py", "hooks/*.py", "exporter/*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import) and any(alias.name == "subprocess" for alias in node.names)
    }
    assert importers <= doors


def test_every_module_for_mutation_testing_is_there_with_its_tests() -> None:
    """A module that was renamed would no longer be mutated, and its tests could lose what they check."""
    named = {file for module, files in MODULES.items() for file in (module, *files)}
    assert not sorted(file for file in named if not (ROOT / file).is_file())
