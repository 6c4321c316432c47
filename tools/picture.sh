#!/usr/bin/env bash
# Take docs/report.png from a run's report: tools/picture.sh runs/ID. Wants Chromium; the picture ends after two rows of
# charts, so that it stays below 400 KB.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
chromium --headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync --no-first-run \
    --hide-scrollbars --window-size=1280,1386 --screenshot="$here/docs/report.png" \
    "file://$(realpath "$1")/report.html" 2>/dev/null
