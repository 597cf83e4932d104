#!/bin/sh
# Lets a node measure its power: loads the RAPL modules of its CPU and kernel, now and at every boot, and runs
# Scaphandre as a unit with one capability. As root, on the node, from a copy of this folder. Can be run again.
# DESTDIR=/somewhere writes below that folder (for packages and tests).
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=${DESTDIR:-}
binary=/usr/local/bin/scaphandre

if [ ! -x "$root$binary" ]; then
    echo "$root$binary not found: install Scaphandre 1.0 or later there first" >&2
    exit 1
fi
modules=$(python3 "$here/node.py" modules)

# shellcheck disable=SC2086 - one word for each module
modprobe -a $modules
install -d "$root/etc/modules-load.d" "$root/etc/systemd/system"
{ echo "# Power counters, for Scaphandre"; echo "$modules"; } > "$root/etc/modules-load.d/onext-rapl.conf"
install -m 0644 "$here/scaphandre.service" "$root/etc/systemd/system/scaphandre.service"
systemctl daemon-reload
systemctl enable --now scaphandre
python3 "$here/node.py" check
