#!/usr/bin/env bash
# The toolchains of plugins in other languages: Go with its libraries from Debian, Node's packages from their hashed pins.
#   tools/interop.sh              install what is missing
#   tools/interop.sh --upgrade    take the newest packages of Node that package.json allows, and pin them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/lib.sh

node=.cache/node
pins=requirements/interop-npm.json    # an npm lock file that names no place to download from
npm_flags=(--ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved)

missing=()
command -v go > /dev/null || missing+=(golang-go)
command -v node > /dev/null || missing+=(nodejs)
command -v npm > /dev/null || missing+=(npm)
command -v protoc > /dev/null || missing+=(protobuf-compiler)
command -v protoc-gen-go > /dev/null || missing+=(golang-goprotobuf-dev)
for library in github.com/hashicorp/go-plugin:golang-github-hashicorp-go-plugin-dev google.golang.org/grpc:golang-google-grpc-dev; do
    [ -d "/usr/share/gocode/src/${library%%:*}" ] || missing+=("${library##*:}")
done
if [ "${#missing[@]}" -gt 0 ] && ! apt_install "${missing[@]}"; then
    die "not installed: ${missing[*]}; as root, run 'apt-get install ${missing[*]}'"
fi

# The lock's first entry is our own; package.json follows from it.
write_package() {
    node -e 'const { packages: { "": own } } = JSON.parse(require("fs").readFileSync(process.argv[1]));
        console.log(JSON.stringify({ ...own, private: true }))' "$pins" > "$node/package.json"
}

mkdir -p "$node"
if [ "${1:-}" = --upgrade ]; then
    write_package
    rm -f "$node/package-lock.json"
    (cd "$node" && npm install --package-lock-only "${npm_flags[@]}" > npm.log 2>&1) || { tail -n 5 "$node/npm.log" >&2; exit 1; }
    node -e 'const fs = require("fs"); const lock = JSON.parse(fs.readFileSync(process.argv[1]));
        for (const each of Object.values(lock.packages)) for (const key of ["funding", "engines", "bin", "private"]) delete each[key];
        fs.writeFileSync(process.argv[2], JSON.stringify(lock, null, 1) + "\n")' "$node/package-lock.json" "$pins"
    grep -nE 'https?:|"resolved"' "$pins" && die "$pins names a place to download from"
fi
state="$(sha256sum < "$pins")"
if [ "$(cat "$node/.penstock-state" 2> /dev/null)" != "$state" ]; then
    say "installing the packages of $pins into $node (npm)"
    rm -rf "$node/node_modules" "$node/.penstock-state"
    write_package
    cp "$pins" "$node/package-lock.json"
    (cd "$node" && npm ci "${npm_flags[@]}" > npm.log 2>&1) || { tail -n 5 "$node/npm.log" >&2; die "npm could not install $pins"; }
    echo "$state" > "$node/.penstock-state"
fi
