"""Readers in other languages are what the records say, and the C header reads and writes the committed bytes.

Go and JavaScript are tested against the same bytes by `make test-interop`.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from penstock_sdk.languages import LANGUAGES, folder
from penstock_sdk.schema import Layout, schema_by_id
from penstock_sdk.wire.frame import HEADER, Header
from tools import readers
from tools.readers.common import HEADER_FIELDS, camel, screaming

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "records.json").read_text(encoding="utf-8"))
CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
SUFFIX = {"I": "u", "Q": "ull", "q": "ll"}


def test_generated_files_are_current() -> None:
    stale = [path for path, text in readers.files().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run python -m tools.readers"


def test_the_header_of_other_languages_is_ours() -> None:
    assert [name for name, _, _ in HEADER_FIELDS] == list(Header.__struct_fields__)
    assert "<" + "".join(code for _, code, _ in HEADER_FIELDS) == HEADER.format
    offset = 0
    for _, code, at in HEADER_FIELDS:
        assert at == offset
        offset += struct.calcsize("<" + code)


def test_names_are_those_of_the_language() -> None:
    assert (camel("listing_id"), camel("lei"), camel("gate_closure_ns")) == ("ListingID", "LEI", "GateClosureNs")
    assert screaming("ClockKind") == "CLOCK_KIND"


def test_every_language_has_its_folder() -> None:
    assert all(any(folder(language).iterdir()) for language in LANGUAGES)
    with pytest.raises(ValueError, match="^language met 'cobol', wanted one of c, go, node"):
        folder("cobol")


def test_packages_of_node_are_pinned_by_their_hashes_and_name_no_host() -> None:
    text = (readers.ROOT / "requirements" / "interop-npm.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    assert "://" not in text and len(packages) > 20
    for name, package in packages.items():
        assert not name or (package["integrity"].startswith("sha512-") and package["license"]), name
    wanted = json.loads((folder("node") / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert packages[""]["dependencies"] == wanted


def c_value(code: str, value: Any) -> str:
    if code == "d":
        number = float.fromhex(value)
        return {float("inf"): "INFINITY", -float("inf"): "-INFINITY"}.get(number, number.hex())
    if value == -(2**63):
        return "INT64_MIN"
    return f"{value}{SUFFIX.get(code, '')}"


def c_test(layout: Layout, name: str, vector: dict[str, Any]) -> str:
    """Return C that reads the vector's bytes, compares each field, and writes them again."""
    octets = ", ".join(f"0x{octet:02x}" for octet in bytes.fromhex(vector["hex"]))
    compares = "\n".join(
        f'    if (r.{f.name} != {c_value(f.code, vector["values"][f.name])}) bad("{layout.name}.{f.name} {name}");'
        for f in layout.fields
    )
    defaults = ""
    if name == "defaults":
        sets = f"penstock_{layout.snake}_defaults(&r); r.{layout.fields[0].name} = 7;"
        defaults = (
            f"    {sets}\n    penstock_{layout.snake}_write(&r, out);\n"
            f'    if (memcmp(out, bytes, sizeof bytes)) bad("{layout.name} by defaults");\n'
        )
    return f"""
static void {layout.snake}_{name}(void) {{
    static const uint8_t bytes[] = {{{octets}}};
    uint8_t out[PENSTOCK_{screaming(layout.name)}_BYTES];
    penstock_{layout.snake}_t r;
    if (sizeof bytes != sizeof out) bad("{layout.name} size");
    if (penstock_{layout.snake}_read(&r, bytes, sizeof bytes - 1) == 0) bad("{layout.name} of a short stride was read");
    if (penstock_{layout.snake}_read(&r, bytes, sizeof bytes + 8) != 0) bad("{layout.name} of a long stride was not");
{compares}
    penstock_{layout.snake}_write(&r, out);
    if (memcmp(out, bytes, sizeof bytes)) bad("{layout.name} {name} written");
{defaults}}}
"""


def c_program() -> str:
    """Return the program: all vectors, ids, hashes, and a walk over frames from stdin."""
    parts = [
        '#include <math.h>\n#include <stdio.h>\n#include "penstock_records.h"\n',
        'static int faults;\nstatic void bad(const char *what) { printf("%s\\n", what); faults++; }\n',
    ]
    calls = []
    for kept in GOLDEN.values():
        layout = schema_by_id(kept["id"])
        upper = f"PENSTOCK_{screaming(layout.name)}"
        calls.append(f'if ({upper}_ID != {kept["id"]}) bad("{layout.name} id");')
        if not layout.packed:
            continue
        calls.append(f'if ({upper}_LAYOUT_HASH != 0x{kept["layout_hash"]}u) bad("{layout.name} hash");')
        for name, vector in kept["vectors"].items():
            parts.append(c_test(layout, name, vector))
            calls.append(f"{layout.snake}_{name}();")
    walk = """
    static uint8_t input[65536];
    const size_t n = fread(input, 1, sizeof input, stdin);
    const uint8_t *at = input, *body;
    penstock_header_t h;
    int broken;
    while ((body = penstock_frame_next(&at, input + n, &h, &broken)))
        printf("frame %u %u %u %lld\\n", h.schema_id, h.count, h.stride, (long long)h.seq);
    printf("%s\\n", broken ? "broken" : "end");
"""
    return "".join(parts) + "int main(void) {\n    " + "\n    ".join(calls) + walk + "    return faults != 0;\n}\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CC is None:
        pytest.skip("no C compiler; install gcc")
    place = tmp_path_factory.mktemp("c")
    (place / "golden.c").write_text(c_program(), encoding="utf-8")
    strict = ["-Wall", "-Wextra", "-Werror", "-O1"] + ([] if CC.endswith("++") else ["-std=c99", "-pedantic"])
    command = [CC, *strict, f"-I{folder('c')}", "-o", str(place / "golden"), str(place / "golden.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return place / "golden"


def walked(program: Path, frames: bytes) -> list[str]:
    done = subprocess.run([str(program)], input=frames, capture_output=True, timeout=20, check=False)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, lines
    return lines


def test_c_reads_and_writes_the_committed_bytes_and_walks_frames(program: Path) -> None:
    quote = bytes.fromhex(GOLDEN["Quote"]["vectors"]["ordinary"]["hex"])
    one = HEADER.pack(len(quote), 1, 1, 1, 9, 0, 0, 0, 1, len(quote), 0) + quote
    wide = HEADER.pack(128, 1, 2, 1, 10, 0, 0, 0, 2, 64, 0) + bytes(128)
    text = HEADER.pack(5, 100, 1, 1, 12, 0, 0, 0, 1, 0, 0) + bytes(8)
    assert walked(program, one + wide + text) == ["frame 1 1 56 9", "frame 1 2 64 10", "frame 100 1 0 12", "end"]


@pytest.mark.parametrize(
    ("at", "value"), [(0, 57), (0, 200), (40, 2), (40, 0), (44, 8)], ids=["body", "past", "count", "none", "stride"]
)
def test_c_takes_no_frame_that_lies(program: Path, at: int, value: int) -> None:
    frame = bytearray(HEADER.pack(56, 1, 1, 1, 9, 0, 0, 0, 1, 56, 0) + bytes(56))
    frame[at] = value
    assert walked(program, bytes(frame)) == ["broken"]
    assert walked(program, bytes(frame[:40])) == ["broken"]
