"""Our jobs and rules in prometheus.yml: text in, text out, every other line as it was.

Stock jobs of the same name become comments, so that nothing is scraped twice and dashboards, which know jobs
by name, continue to work; `remove` makes them lines again. OpenNebula's `patch_datasources.rb` writes the
file anew, without comments and with its own jobs of those names: then `problems` reports it and `add` repeats
it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from onext import settings as all_settings
from onext import yaml_text
from onext.install.front_end import FrontEnd, InstallError
from onext.install.prometheus_jobs import STOCK_RULES, TENANTS, Wanted, asked, jobs, listens, require_form
from onext.paths import Paths
from onext.settings.exporter import LOOPBACK

BEGIN = "# onext begin: put here by `install.sh --configure`, taken out by `--uninstall`"
END = "# onext end"
OFF = "#onext# "  # a line of the file that is switched off
_LISTS = ("scrape_configs", "rule_files")


@dataclass(frozen=True)
class _Item:
    """One item of a list: its name (job or file) and its lines, first to last, counted from 0."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class _List:
    """A list of the file: the position of its key, and its items, with their indentation."""

    line: int
    indent: int
    items: tuple[_Item, ...]
    inline: bool = False  # `rule_files: ['rules.yml']`, on one line


def wanted(paths: Paths | None = None) -> Wanted:
    """Return what the settings and folders of a front-end state; default: of this one."""
    paths = paths or Paths.find()
    settings = all_settings.load(paths.settings)
    folder = settings.targets.folder or paths.targets
    return Wanted(settings.targets, folder, paths.own_etc, settings.exporter.listen)


def else_listens(file: Path, front_end: FrontEnd) -> str:
    """Return where the exporter listens without settings (onext.install.prometheus_jobs.listens)."""
    try:
        with front_end.files.at(front_end.paths.settings):
            given = replace(wanted(front_end.paths), listen=None)
        return listens(given, _load(remove(front_end.files.read(file).decode(errors="replace"), given)))
    except (OSError, InstallError, all_settings.SettingsError):
        return LOOPBACK  # without a Prometheus, or without one that could start


def problems(text: str, given: Wanted | None = None) -> list[str]:
    """Return what is missing or wrong, in words."""
    given = given or wanted()
    try:
        if add(text, given) == text:
            return []
        document = _load(text)
    except InstallError as error:
        return [str(error)]
    told = asked(_load(add(text, given)))[0]
    if BEGIN in text and told not in asked(document):
        return [f"job opennebula_exporter asks {', '.join(asked(document))}, the exporter listens on {told}"]
    present = {str(job.get("job_name")) for job in document.get("scrape_configs") or []}
    if TENANTS in present and BEGIN not in text:
        return ["OpenNebula's patch_datasources.rb rewrote it: its jobs replaced onext's"]
    return [
        "onext's jobs are not up to date"
        if BEGIN in text
        else "it lacks the jobs for VMs and hosts, and onext's rules"
    ]


def add(text: str, given: Wanted | None = None) -> str:
    """Return the text with our jobs and rules; the same text where they are in it. Raises InstallError."""
    given = given or wanted()
    stock = remove(text, given)
    document = _load(stock)
    ours = jobs(given, document)
    changed = _with(stock, "scrape_configs", ours, {str(job["job_name"]) for job in ours})
    replaced = {name for name in _files(document) if PurePath(name).name == STOCK_RULES}
    rules = [str(given.rules), *([str(given.stock_rules)] if replaced else [])]
    changed = _with(changed, "rule_files", rules, replaced)
    _load(changed)
    return changed


def remove(text: str, given: Wanted | None = None) -> str:
    """Return the text without onext's lines, stock lines as they were; also where our comments are gone."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        body = line.strip()
        if body in (BEGIN, END):
            inside = body == BEGIN
        elif not inside:
            kept.append(line.replace(OFF, "", 1) if line.startswith(OFF) else line)
    return _without_orphans("".join(kept), given or wanted())


def _without_orphans(text: str, given: Wanted) -> str:
    """Drop lines of onext that lost their comments: jobs that read our files, and our rules."""
    found = _lists(text)
    lines = text.splitlines(keepends=True)
    for job in found["scrape_configs"].items if "scrape_configs" in found else ():
        if str(given.folder) in "".join(lines[job.first : job.last + 1]):
            lines[job.first : job.last + 1] = [""] * (job.last + 1 - job.first)
    for file in found["rule_files"].items if "rule_files" in found else ():
        if file.name == str(given.rules):
            lines[file.first] = ""
        elif file.name == str(given.stock_rules):
            lines[file.first] = lines[file.first].replace(file.name, STOCK_RULES)
    return "".join(lines)


def _files(document: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in document.get("rule_files") or []]


def _with(text: str, key: str, items: list[Any], instead: set[str]) -> str:
    """Return the text with `items` first in the list `key`, and those named in `instead` switched off."""
    found = _lists(text).get(key)
    if found is None:
        block = _block(items, 0, key)
        return text + ("" if text.endswith("\n") or not text else "\n") + block
    lines = text.splitlines(keepends=True)
    for item in found.items:
        if item.name in instead:
            for number in range(item.first, item.last + 1):
                lines[number] = OFF + lines[number]
    if found.inline:
        lines[found.line] = lines[found.line].removeprefix(OFF)
        others = [item.name for item in found.items if item.name not in instead]
        lines[found.line] = OFF + lines[found.line] + _block([*others, *items], 0, key)
    else:
        lines.insert(found.line + 1, _block(items, found.indent))
    return "".join(lines)


def _block(items: list[Any], indent: int, key: str = "") -> str:
    """Return items of a list as lines between our comments."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=2, offset=0)
    yaml.dump(items, stream)
    margin = " " * indent
    body = "".join(f"{margin}{line}\n" for line in stream.getvalue().splitlines())
    head = f"{key}:\n" if key else ""
    return f"{margin}{BEGIN}\n{head}{body}{margin}{END}\n"


def _load(text: str) -> Mapping[str, Any]:
    _require_bounded(text)
    try:
        document = YAML(typ="safe").load(text) or {}
    except (YAMLError, ValueError) as error:
        raise InstallError(f"prometheus.yml is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise InstallError("prometheus.yml is not a mapping")
    require_form(document)
    return document


def _require_bounded(text: str) -> None:
    """Raise InstallError for YAML that is invalid, or costs much time and memory when it is followed."""
    try:
        yaml_text.load(text)
    except yaml_text.InvalidYaml as error:
        raise InstallError(f"prometheus.yml is not valid YAML: line {error}") from error


def _lists(text: str) -> dict[str, _List]:
    """Return the positions of onext's two lists; raise InstallError for an uneditable form."""
    _require_bounded(text)
    try:
        root = YAML().compose(text)
    except YAMLError as error:
        raise InstallError(f"prometheus.yml is not valid YAML: {error}") from error
    if root is None:
        return {}
    if not isinstance(root, MappingNode):
        raise InstallError("prometheus.yml is not a mapping")
    pairs: list[tuple[Node, Node]] = root.value
    return {key.value: _list(key, value, text) for key, value in pairs if key.value in _LISTS}


def _list(key: Node, value: Node, text: str) -> _List:
    line: int = key.start_mark.line
    if not isinstance(value, SequenceNode):
        if value.value in ("", "null", "~"):
            return _List(line, key.start_mark.column, ())
        raise InstallError(f"prometheus.yml:{line + 1}: {key.value} is not a list")
    nodes: list[Node] = value.value
    if not value.flow_style:
        column = value.start_mark.column
        return _List(line, column, tuple(_items(nodes, text)))
    if value.end_mark.line != line or any(isinstance(node, MappingNode) for node in nodes):
        raise InstallError(f"prometheus.yml:{line + 1}: write {key.value} as lines that begin with `- `")
    items = tuple(_Item(str(node.value), line, line) for node in nodes)
    return _List(line, 0, items, inline=True)


def _items(nodes: list[Node], text: str) -> Iterator[_Item]:
    lines = text.splitlines()
    for node in nodes:
        first, end = node.start_mark.line, node.end_mark
        last = end.line - 1 if end.column == 0 or end.line >= len(lines) else end.line
        if isinstance(
            node, MappingNode
        ):  # its end is where the next begins: comments between are not its own
            last = max(child.end_mark.line - (child.end_mark.column == 0) for _, child in node.value)
            last = _last_of(lines, first, last)
        yield _Item(_name(node), first, last)


def _last_of(lines: list[str], first: int, last: int) -> int:
    """Return the last line of an item that is neither empty, a comment, nor the next item."""
    indent = len(lines[first]) - len(lines[first].lstrip())
    last = min(last, len(lines) - 1)
    while last > first and (
        re.match(r"\s*(#|$)", lines[last]) or len(lines[last]) - len(lines[last].lstrip()) <= indent
    ):
        last -= 1
    return last


def _name(node: Node) -> str:
    if isinstance(node, MappingNode):
        return next((str(value.value) for key, value in node.value if key.value == "job_name"), "")
    return str(node.value)
