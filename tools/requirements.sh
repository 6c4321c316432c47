#!/usr/bin/env bash
# Export requirements/*.in to requirements/*.txt: pinned, hashed, for every platform and Python >= 3.11, naming no host.
#   tools/requirements.sh              keep the pins that still fit
#   tools/requirements.sh --upgrade    take the newest versions the .in files allow
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lib.sh

uv="$(find_uv)"
cd requirements
# The order matters: later groups are constrained by core.txt and rtl.txt, so that they fit into one environment with them.
for group in uv core rtl synth gpu bench-peers pynq; do
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header "$@" --output-file "$group.txt" "$group.in" > /dev/null
    if grep -nE 'https?:|--index|--find-links|@ ' "$group.txt"; then
        die "requirements/$group.txt names a place to download from; take that line out of $group.in"
    fi
    echo "requirements/$group.txt: $(grep -c '==' "$group.txt") pins"
done
