#!/bin/sh
# Install onext on this OpenNebula front-end: finds a Python, which does the rest (onext/install/bootstrap.py).
# ./install.sh --help lists the other actions: --check, --uninstall, --rollback, --configure, --sandbox …
# PYTHON=/path/to/python3 ./install.sh takes that interpreter instead of the newest.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd -P)

# A venv depends on its interpreter, and the parts run as oneadmin, or the owner of ONE_LOCATION: one
# in a home folder that they cannot enter is of no use then.
usable='
import os, sys
import ensurepip, venv
real = os.path.realpath(sys.executable)
folders = [real]
while os.path.dirname(folders[-1]) != folders[-1]:
    folders.append(os.path.dirname(folders[-1]))
shared = all(os.stat(folder).st_mode & 1 for folder in folders)
sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, 14) and (shared or sys.argv[1])))
'
private=
case " $* " in *" --sandbox "*) private=yes ;; esac
if [ -n "${ONE_LOCATION:-}" ] && { [ -O "$ONE_LOCATION" ] || [ ! -e "$ONE_LOCATION" ]; }; then private=yes; fi
for name in ${PYTHON:-python3.13 python3.12 python3.11 python3.10 python3 python3.14}; do
    for python in "$(command -v "$name" || :)" "/usr/bin/$name"; do
        if [ -x "$python" ] && "$python" -I -B -c "$usable" "$private" 2>/dev/null; then
            exec "$python" -I -B -c '
import sys
sys.path.insert(0, sys.argv[1])
sys.argv[:2] = [sys.argv[1] + "/install.sh"]
from onext.install.bootstrap import main
main()' "$here" "$@"
        fi
    done
done

echo "install.sh: no python3 from 3.10 to 3.14 with venv was found" >&2
if command -v apt-get >/dev/null; then
    echo "install.sh: apt-get install python3-venv" >&2
elif command -v dnf >/dev/null; then
    echo "install.sh: dnf install python3.12" >&2
fi
exit 1
