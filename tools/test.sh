#!/usr/bin/env bash
# Run the whole suite in two lanes at once, one a core: the hardware's tests beside the software's.
#   tools/test.sh                  both lanes; the second one's report follows the first one's
#   tools/test.sh -k collar -x     with arguments of pytest: one lane, as pytest would do it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "$#" -eq 0 ] || exec .venv/bin/python -m pytest "$@"

software=(sdk kernel plugins tests)
hardware=(hw sims)
log=.cache/test-hardware.log
mkdir -p .cache

.venv/bin/python -m pytest -o cache_dir=.cache/pytest-hardware "${hardware[@]}" > "$log" 2>&1 &
lane=$!
trap 'kill "$lane" 2> /dev/null || true' EXIT
failed=0
.venv/bin/python -m pytest "${software[@]}" || failed=1
echo "the hardware's tests (${hardware[*]}), which ran beside these:"
tail -n +1 -f --pid="$lane" "$log"
wait "$lane" || failed=1
trap - EXIT
exit "$failed"
