#!/usr/bin/env bash
# See that the system commands which the tests use are there: install what is missing when this user may, else name it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lib.sh

missing=()
for command in iverilog g++ make; do     # each command has its package's name
    command -v "$command" > /dev/null || missing+=("$command")
done
if [ "${#missing[@]}" -gt 0 ] && ! apt_install "${missing[@]}"; then
    say "not installed: ${missing[*]}. Tests that need them are skipped; as root, run 'apt-get install ${missing[*]}' to have them"
fi
