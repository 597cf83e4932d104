"""Clusters and hosts as people name them: by id or by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from onext.oned import stream
from onext.part import Context
from onext.xml import Element, parse


def cluster_id(clusters: Iterable[Element], word: str | int) -> int:
    """Return the id of the cluster with this id or name; raise UsageError when it does not exist."""
    return _id(clusters, word, "cluster", "onecluster list")


def host_id(context: Context, word: str) -> int:
    """Return the id of the host with this id or name; raise UsageError when it does not exist."""
    hosts = map(parse, stream.pool(context.oned.source, "hostpool.info", tag="HOST"))
    return _id(hosts, word, "host", "onehost list")


def _id(elements: Iterable[Element], word: str | int, kind: str, remedy: str) -> int:
    found = list(elements)
    for tag in ("ID", "NAME"):  # an id before a name that looks like one
        for element in found:
            if element.findtext(tag) == str(word):
                return int(element.findtext("ID", "-1"))
    raise click.UsageError(f"{kind} {word} not found; see `{remedy}`")


def plot_file(_context: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a file that could not be written, before the work for it is done."""
    if file is not None and not file.parent.is_dir():
        raise click.BadParameter(f"folder {file.parent} not found")
    if file is not None and file.is_dir():
        raise click.BadParameter(f"{file} is a folder")
    return file


def write_plot(file: Path, drawing: str) -> None:
    """Write a plot and report the name of its file; raise UsageError where it cannot be written."""
    try:
        file.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{file}: not written: {error.strerror}") from error
    click.echo(f"written: {file}", err=True)
