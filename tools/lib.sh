# Shared by the scripts in tools/: messages, apt, Python and uv. To be sourced from the repository root by bash.

uv_min=0.9   # the first with the uv_build backend that the members name

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# True when version $1 is at least version $2.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Install Debian packages without a question; false when this user may not or apt fails. PENSTOCK_APT=no forbids it.
apt_install() {
    local as_root=()
    [ "${PENSTOCK_APT:-yes}" != no ] && command -v apt-get > /dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2> /dev/null || return 1
        as_root=(sudo -n)
    fi
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    say "installing $* (apt)"
    mkdir -p .cache
    {
        "${install[@]}" install -y --no-install-recommends "$@" ||
            { "${install[@]}" update && "${install[@]}" install -y --no-install-recommends "$@"; }
    } < /dev/null > .cache/apt.log 2>&1 && return 0
    say "apt could not install $*; the end of .cache/apt.log:"
    tail -n 5 .cache/apt.log >&2
    return 1
}

# Print a Python of 3.11 or later: $PYTHON when set, else python3, else a versioned one.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    die "${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2> /dev/null || echo 'not there'); Penstock wants Python 3.11 or" \
        "later: install it (Debian: apt-get install python3.11 python3.11-venv) or name one with PYTHON=/path/to/python"
}

# Print a uv of uv_min or later: the one on PATH, else a private one in .cache/uv, installed there from its hashed pin.
find_uv() {
    local found
    found="$(uv --version 2> /dev/null | awk '{print $2}' || true)"
    if [ -n "$found" ] && version_at_least "$found" "$uv_min"; then
        command -v uv
        return 0
    fi
    if ! .cache/uv/bin/uv --version > /dev/null 2>&1; then
        install_uv 1>&2
    fi
    printf '%s\n' "$PWD/.cache/uv/bin/uv"
}

# Install uv into .cache/uv with whatever this Python has: venv, else pip, else the Debian package that brings venv.
install_uv() {
    local python version
    local pip_flags=(install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt)
    python="$(find_python)"
    say "uv is not on PATH: installing it into .cache/uv"
    rm -rf .cache/uv
    mkdir -p .cache
    version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    if ! "$python" -c 'import venv, ensurepip' 2> /dev/null; then
        if "$python" -m pip --version > /dev/null 2>&1; then
            "$python" -m pip "${pip_flags[@]}" --target .cache/uv
            return 0
        fi
        apt_install "python$version-venv" ||
            die "$python has neither venv nor pip, and this user may not install packages: as root," \
                "run 'apt-get install python$version-venv', then try again"
    fi
    "$python" -m venv .cache/uv
    .cache/uv/bin/python -m pip "${pip_flags[@]}"
}
