"""Clusters and hosts as people name them: by id or by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from onext.cloud.model import Cluster
from onext.command import find
from onext.part import Context


def cluster_id(clusters: Iterable[Cluster], word: str | int) -> int:
    """Return the id of the cluster with this id or name; raise UsageError when it does not exist."""
    return find(clusters, str(word), "cluster").id


def host_id(context: Context, word: str) -> int:
    """Return the id of the host with this id or name; raise UsageError when it does not exist."""
    return find(context.cloud().hosts.values(), word, "host").id


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
