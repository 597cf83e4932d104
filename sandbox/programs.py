"""The programs of a front-end that the sandbox puts into its bin/, as far as hooks and people need them."""

SSH = """\
#!/bin/sh
# The nodes of the sandbox are found by their names: as `ssh` would find them in a real cloud.
exec {ssh} -F "{config}" "$@"
"""

# What `onehost sync` does: the whole remotes tree to each node named, replacing what is there.
ONEHOST = """\
#!/bin/sh
[ "$1" = sync ] || {{ echo "onehost: the sandbox knows only: onehost sync [--force] NAME..." >&2; exit 1; }}
shift
[ "$1" = --force ] && shift
for host; do
    tar -C "{remotes}" -cf - . | "{bin}/ssh" -o BatchMode=yes "$host" \\
        'rm -rf "$HOME/var/tmp/one" && mkdir -p "$HOME/var/tmp/one" && tar -C "$HOME/var/tmp/one" -xf -' ||
        {{ echo "Failed to update $host" >&2; exit 1; }}
done
"""

ONEUSER = """\
#!/usr/bin/env python3
import argparse, os, sys, xmlrpc.client

parser = argparse.ArgumentParser(prog="oneuser", description="The sandbox knows only: create.")
parser.add_argument("command", choices=["create"])
parser.add_argument("name")
parser.add_argument("password")
parser.add_argument("--driver", default="core")
given = parser.parse_args()
with open(os.environ["ONE_AUTH"]) as file:
    session = file.read().strip()
with xmlrpc.client.ServerProxy(os.environ["ONE_XMLRPC"]) as one:
    done, value, *_ = getattr(one, "one.user.allocate")(session, given.name, given.password, given.driver, [])
print(f"ID: {value}" if done else value)
sys.exit(0 if done else 255)
"""
