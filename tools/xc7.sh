#!/usr/bin/env bash
# Yosys and nextpnr for the xc7z020, which no Python wheel carries: from PATH, from a Debian forky below PENSTOCK_XC7_ROOT,
# or from the container image PENSTOCK_XC7_IMAGE.
#   tools/xc7.sh where             say which will be used and their versions; fails when there are none
#   tools/xc7.sh run DIR COMMAND   run a shell command in DIR with the tools, DIR's files before it
#   tools/xc7.sh make ROOT         make such a root (as root; debootstrap from apt; some two minutes, 3 GB)
# rtl/timing/README.md says how to make the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lib.sh

packages=(yosys nextpnr-himbaechel-xilinx nextpnr-himbaechel-xilinx-chipdb)
root="${PENSTOCK_XC7_ROOT:-}"
image="${PENSTOCK_XC7_IMAGE:-}"
say_versions='yosys -V | cut -d" " -f1,2; nextpnr-himbaechel-xilinx --version 2>&1 | sed "s/.*(Version \([^)]*\)).*/nextpnr-himbaechel-xilinx \1/"'

have_tools() { command -v yosys > /dev/null && command -v nextpnr-himbaechel-xilinx > /dev/null; }
have_root() { [ -n "$root" ] && [ -x "$root/usr/bin/nextpnr-himbaechel-xilinx" ]; }

have_image() { [ -n "$image" ] && engine="$(command -v podman || command -v docker)"; }

find_tools() {
    have_tools || have_root || have_image || die "nextpnr-himbaechel-xilinx is not on PATH, not below PENSTOCK_XC7_ROOT" \
        "(${root:-not set}), and PENSTOCK_XC7_IMAGE (${image:-not set}) or podman is missing; rtl/timing/README.md says how to get it"
}

# Yosys stops where /proc is not mounted.
mount_proc() { mountpoint -q "$1/proc" || mount -t proc proc "$1/proc"; }

case "${1:-}" in
    where)
        find_tools
        if have_tools; then bash -c "$say_versions"
        elif have_root; then mount_proc "$root"; chroot "$root" bash -c "$say_versions"
        else "$engine" run --rm "$image" bash -c "$say_versions"; fi
        ;;
    run)
        [ $# -eq 3 ] || die "wanted: tools/xc7.sh run DIR COMMAND"
        find_tools
        if have_tools; then cd "$2"; exec bash -c "$3"; fi
        have_root || exec "$engine" run --rm --volume "$(realpath "$2")":/rtl --workdir /rtl "$image" bash -c "$3"
        mount_proc "$root"
        work="$(mktemp -d "$root/tmp/penstock-xc7.XXXXXX")"
        trap 'rm -rf "$work"' EXIT
        cp -r "$2/." "$work"
        status=0
        chroot "$root" bash -c "cd '${work#"$root"}' && $3" || status=$?
        cp -r "$work/." "$2"
        exit "$status"
        ;;
    make)
        [ $# -eq 2 ] || die "wanted: tools/xc7.sh make ROOT"
        [ "$(id -u)" -eq 0 ] || die "a chroot is made by root; rtl/timing/README.md has a container that needs none"
        command -v debootstrap > /dev/null || apt_install debootstrap || die "debootstrap is not installed: apt-get install debootstrap"
        script=/usr/share/debootstrap/scripts/forky
        [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid   # an older debootstrap does not know the name
        # The machine's own mirror, in either of apt's two notations, when PENSTOCK_DEBIAN_MIRROR names none.
        mirror="${PENSTOCK_DEBIAN_MIRROR:-$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2> /dev/null | head -n 1)}"
        debootstrap --variant=minbase forky "$2" ${mirror:+"$mirror"} "$script"
        mount_proc "$2"
        chroot "$2" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
        say "made; now: export PENSTOCK_XC7_ROOT=$2"
        ;;
    *) die "wanted: where, run or make; the head of tools/xc7.sh says what they do" ;;
esac
