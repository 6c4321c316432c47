#!/usr/bin/env bash
# Run the whole suite in two lanes at once, one a core, which take about as long: the hardware's and the plugins' tests
# beside the kernel's and those of the whole.
#   tools/test.sh                  both lanes; the second one's report follows the first one's
#   tools/test.sh -k collar -x     with arguments of pytest: one lane, as pytest would do it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ "$#" -eq 0 ] || exec .venv/bin/python -m pytest "$@"

first=(sdk kernel tests)
second=(hw plugins sims)
log=.cache/test-second.log
mkdir -p .cache

.venv/bin/python -m pytest -o cache_dir=.cache/pytest-second "${second[@]}" > "$log" 2>&1 &
lane=$!
trap 'kill "$lane" 2> /dev/null || true' EXIT
failed=0
.venv/bin/python -m pytest "${first[@]}" || failed=1
echo "the tests of ${second[*]}, which ran beside these:"
tail -n +1 -f --pid="$lane" "$log"
wait "$lane" || failed=1
trap - EXIT
exit "$failed"
