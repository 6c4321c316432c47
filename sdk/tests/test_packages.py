"""A package is the same bytes for the same files, nothing of a broken one is installed, and a pin sees every change."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.cli.main import main
from penstock_sdk.conform.report import TIERS, Report, result_of
from penstock_sdk.conform.runner import select
from penstock_sdk.discovery import read_path
from penstock_sdk.manifest import ManifestError, Resources, this_platform
from penstock_sdk.packages import (
    LIST_NAME,
    Installation,
    Member,
    PackageError,
    Packed,
    check_archive,
    environment_of,
    files_to_try,
    install,
    installed_manifests,
    installed_packages,
    interpreter_of,
    make_environment,
    name_fault,
    pack,
    plugins_folder,
    verify_pin,
    write_archive,
)
from penstock_sdk.packages.archive import ARCHIVE_BYTES_MAX, names_faults, read_list
from penstock_sdk.packages.reported import digest_of_files
from penstock_sdk.process.permissions import confinement_for, plugin_environment
from penstock_sdk.process.spawn import launch

MANIFEST = """
[[plugin]]
id = "hill_feed"
version = "{version}"
kind = "feed"
contract = "feed/1..1"
{what}
"""
IN_A_FILE = '# /// penstock\n# [[plugin]]\n# id = "lone"\n# version = "1.0.0"\n# kind = "feed"\n'


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return the folder of a small plugin."""
    folder = tmp_path / "hill"
    (folder / "tables").mkdir(parents=True)
    (folder / "plugin.toml").write_text(MANIFEST.format(version="1.2.0", what='class = "hill_feed:HillFeed"'))
    (folder / "hill_feed.py").write_text("class HillFeed: ...\n")
    (folder / "tables" / "prices.csv").write_text("at,price\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    return folder


def report_of(folder: Path, file: Path, **said: Any) -> Report:
    """Write a report of the kit on a folder, silver by its cases, with other things *said*."""
    (manifest,) = read_path(folder, {"feed": (1,)})
    files = files_to_try(manifest)
    gold = next(case for case in select("feed") if case.group in TIERS["gold"])
    report = Report(
        target=".", kind="feed", plugin={"id": manifest.id, "version": manifest.version}, files=files,
        digest=digest_of_files(files),
        results=[result_of(case, "failed" if case is gold else "passed") for case in select("feed")],
    )  # fmt: skip
    file.write_text(json.dumps(json.loads(report.as_json()) | said))
    return report


def drop_failed(tree: dict[str, Any]) -> None:
    """Leave out of a report what failed."""
    tree["cases"] = [each for each in tree["cases"] if each["outcome"] != "failed"]
    tree["counts"]["failed"] = 0


@pytest.fixture
def packed(plugin: Path, tmp_path: Path) -> Packed:
    return pack(plugin, tmp_path)


@pytest.fixture
def installed(packed: Packed, tmp_path: Path) -> Installation:
    return install(Path(packed.path), tmp_path / "plugins")


def rewritten(archive: str, change: Callable[[zipfile.ZipInfo, bytes], list[tuple[zipfile.ZipInfo, bytes]]]) -> Path:
    """Return another archive, each member as *change* has it."""
    out = Path(archive).with_name("other.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            for each, data in change(info, old.read(info)):
                new.writestr(each, data)
    return out


def test_the_same_files_make_the_same_bytes_wherever_and_whenever(plugin: Path, tmp_path: Path, packed: Packed):
    elsewhere = tmp_path / "elsewhere" / "copy"
    shutil.copytree(plugin, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (elsewhere / "__pycache__").mkdir()
    (elsewhere / "__pycache__" / "hill_feed.cpython-311.pyc").write_bytes(b"x")
    (elsewhere / ".git").mkdir()
    (elsewhere / ".git" / "HEAD").write_text("x")
    again = pack(elsewhere, tmp_path / "again.zip")
    assert Path(again.path).read_bytes() == Path(packed.path).read_bytes()
    assert again.sha256 == packed.sha256 == hashlib.sha256(Path(packed.path).read_bytes()).hexdigest()
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == [LIST_NAME, "LICENSE", "hill_feed.py", "plugin.toml", "tables/prices.csv"]


def test_an_installed_package_is_what_was_packed_and_is_found(installed: Installation, packed: Packed, tmp_path: Path):
    folder = Path(installed.folder)
    assert folder.name == f"hill_feed-1.2.0-{packed.sha256}"
    assert (folder / "tables" / "prices.csv").read_text() == "at,price\n"
    assert stat.S_IMODE((folder / "hill_feed.py").stat().st_mode) == 0o444
    assert verify_pin(folder, "sha256:" + packed.sha256) == packed.listed
    assert installed_manifests(tmp_path / "plugins") == [folder / "plugin.toml"]
    again = install(Path(packed.path), tmp_path / "plugins", sha256=packed.sha256)
    assert (again.new, again.folder) == (False, installed.folder)
    assert os.listdir(folder.parent) == [folder.name]


def change(folder: Path) -> None:
    (folder / "hill_feed.py").chmod(0o644)
    (folder / "hill_feed.py").write_text("class HillFeed: pass\n")


def flip(folder: Path) -> None:
    data = (folder / "hill_feed.py").read_bytes()
    (folder / "hill_feed.py").chmod(0o644)
    (folder / "hill_feed.py").write_bytes(data.swapcase())
    (folder / "hill_feed.py").chmod(0o444)


def cut(folder: Path) -> None:
    (folder / "hill_feed.py").unlink()


def add(folder: Path) -> None:
    (folder / "numpy.py").write_text("evil = 1\n")


def link(folder: Path) -> None:
    (folder / "hill_feed.py").unlink()
    (folder / "hill_feed.py").symlink_to(folder / "LICENSE")


def switch(folder: Path) -> None:
    (folder / "hill_feed.py").chmod(0o755)


def relist(folder: Path) -> None:
    """Change a file, and the list with it: all agree, but it is another package."""
    change(folder)
    data = (folder / "hill_feed.py").read_bytes()
    listed = json.loads((folder / LIST_NAME).read_text())
    (entry,) = (each for each in listed["files"] if each["path"] == "hill_feed.py")
    entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / LIST_NAME).chmod(0o644)
    (folder / LIST_NAME).write_text(json.dumps(listed, indent=2) + "\n")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (change, "hill_feed.py was changed; install the package again"),
        (flip, "hill_feed.py is not the file that was packed; install the package again"),
        (cut, "hill_feed.py is missing"),
        (add, "numpy.py was added"),
        (link, "hill_feed.py is no plain file any more"),
        (switch, "hill_feed.py is a program"),
        (relist, "its archive's sha256 is [0-9a-f]{64}, the pin is [0-9a-f]{64}"),
    ],
)
def test_a_pin_sees_what_was_done_to_an_installed_package(
    tamper: Callable[[Path], None], words: str, installed: Installation, packed: Packed, tmp_path: Path
):
    tamper(Path(installed.folder))
    with pytest.raises(PackageError, match=words):
        verify_pin(installed.folder, packed.sha256)
    again = install(Path(packed.path), tmp_path / "plugins")
    assert again.new and verify_pin(again.folder, packed.sha256)


def test_compiled_python_does_not_run_in_place_of_what_was_checked(installed: Installation, packed: Packed):
    compiled = Path(installed.folder) / "__pycache__"
    compiled.mkdir()
    (compiled / "hill_feed.cpython-311.pyc").write_bytes(b"other code")
    verify_pin(installed.folder, packed.sha256)
    assert not compiled.exists()


@pytest.mark.parametrize("pin", ["", "abc", "sha256:" + "g" * 64])
def test_a_pin_that_is_no_sha256_pins_nothing_and_says_so(pin: str, installed: Installation):
    with pytest.raises(PackageError, match="is no sha256; copy it from"):
        verify_pin(installed.folder, pin)


def test_another_package_of_the_same_version_is_refused_and_both_are_named(
    plugin: Path, packed: Packed, installed: Installation, tmp_path: Path
):
    (plugin / "hill_feed.py").write_text("class HillFeed: other = 1\n")
    other = pack(plugin, tmp_path / "other.zip")
    with pytest.raises(PackageError, match="a changed plugin needs a new version") as caught:
        install(Path(other.path), tmp_path / "plugins")
    assert packed.sha256 in str(caught.value) and other.sha256 in str(caught.value)
    (plugin / "plugin.toml").write_text(MANIFEST.format(version="1.3.0", what='class = "hill_feed:HillFeed"'))
    install(Path(pack(plugin, tmp_path).path), tmp_path / "plugins")
    assert [each.listed.version for each in installed_packages(tmp_path / "plugins")[0]] == ["1.2.0", "1.3.0"]


def test_an_archive_that_is_not_the_one_of_the_pin_is_not_installed(packed: Packed, tmp_path: Path):
    with pytest.raises(PackageError, match=f"its sha256 is {packed.sha256}, wanted {'0' * 64}"):
        install(Path(packed.path), tmp_path / "plugins", sha256="0" * 64)
    assert not (tmp_path / "plugins").exists()


def as_a_link(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    if info.filename == "LICENSE":
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        data = b"/etc/passwd"
    return [(info, data)]


def outside(name: str) -> Callable[[zipfile.ZipInfo, bytes], list[tuple[zipfile.ZipInfo, bytes]]]:
    def renamed(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
        info.filename = name if info.filename == "LICENSE" else info.filename
        return [(info, data)]

    return renamed


def compressed(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    info.compress_type = zipfile.ZIP_DEFLATED
    return [(info, data)]


def with_one_more(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    more = zipfile.ZipInfo("sitecustomize.py")
    more.external_attr = 0o100644 << 16
    return [(info, data), (more, b"x")] if info.filename == "plugin.toml" else [(info, data)]


def with_another(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    return [(info, data.upper() if info.filename == "hill_feed.py" else data)]


@pytest.mark.parametrize("changed", [as_a_link, outside("../../bin/penstock"), compressed, with_one_more, with_another])
def test_an_archive_that_was_tampered_with_leaves_nothing(changed: Any, packed: Packed, tmp_path: Path):
    with pytest.raises(
        PackageError, match=r"other\.zip: .*(is not the file that was packed|something else than|cannot be read)"
    ):
        install(rewritten(packed.path, changed), tmp_path / "plugins")
    assert not (tmp_path / "plugins").exists()
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["../../bin/penstock"], "'../../bin/penstock' leads out of the package"),
        (["/etc/cron.d/penstock"], "leads out of the package"),
        (["a\\..\\b"], "is no plain path"),
        (["a//b"], "is no plain path"),
        (["con. "], "is no plain path"),
        (["x" * 250], "has more than 240 bytes"),
        (["twice", "twice"], "'twice' is there twice"),
        (["up", "UP"], "differ in case alone"),
        (["f", "f/g"], "'f' is a file and the folder of 'f/g'"),
        ([LIST_NAME], "lists itself"),
    ],
)
def test_an_archive_made_with_names_that_lead_elsewhere_is_refused(
    names: list[str], words: str, packed: Packed, tmp_path: Path
):
    extra = tuple(Member(name, 1, hashlib.sha256(b"x").hexdigest()) for name in names)
    forged = msgspec.structs.replace(packed.listed, files=(*packed.listed.files, *extra))
    with zipfile.ZipFile(packed.path) as archive, (tmp_path / "forged.zip").open("wb") as sink:
        ours = {member.path for member in packed.listed.files}
        write_archive(forged, lambda name: archive.open(name) if name in ours else io.BytesIO(b"x"), sink)
    with pytest.raises(PackageError, match=words):
        install(tmp_path / "forged.zip", tmp_path / "plugins")
    assert not (tmp_path / "plugins").exists()


def test_a_file_twice_is_refused(packed: Packed, tmp_path: Path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = rewritten(packed.path, lambda info, data: [(info, data)] * (2 if info.filename == "LICENSE" else 1))
    with pytest.raises(PackageError, match="is not the file that was packed"):
        install(twice, tmp_path / "plugins")


@pytest.mark.parametrize("at", ["before", "after", "middle"])
def test_bytes_that_no_list_names_are_refused(at: str, packed: Packed, tmp_path: Path):
    data = Path(packed.path).read_bytes()
    cut_at = {"before": 0, "after": len(data), "middle": data.index(b"PK\x01\x02")}[at]
    (tmp_path / "more.zip").write_bytes(data[:cut_at] + b"#!/bin/sh\n" + data[cut_at:])
    with pytest.raises(PackageError):
        install(tmp_path / "more.zip", tmp_path / "plugins")


def test_members_that_say_they_are_huge_are_refused_before_they_are_read(packed: Packed, tmp_path: Path):
    huge = Member("zeros", ARCHIVE_BYTES_MAX, "0" * 64)
    forged = msgspec.structs.replace(packed.listed, files=(*packed.listed.files, huge)).encoded()
    head = bytearray(Path(packed.path).read_bytes()[: 30 + len(LIST_NAME)])
    struct.pack_into("<II", head, 18, len(forged), len(forged))
    (tmp_path / "bomb.zip").write_bytes(bytes(head) + forged)
    with pytest.raises(PackageError, match="its files are larger than 536,870,912 bytes together"):
        install(tmp_path / "bomb.zip", tmp_path / "plugins")


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 100])
def test_what_is_no_archive_is_refused(data: bytes, tmp_path: Path):
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(PackageError, match=r"x\.zip: no package"):
        check_archive(tmp_path / "x.zip")


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_an_archive_can_be_changed_unseen(at: int, by: int):
    data = bytearray(SMALL_ARCHIVE)
    data[at % len(data)] ^= by
    path = SMALL_FOLDER / "flipped.zip"
    path.write_bytes(data)
    try:
        sha256, _ = check_archive(path)
    except PackageError:
        return
    assert sha256 != SMALL_SHA256  # then it is another package, and the pin says so


@pytest.fixture(scope="module", autouse=True)
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> None:
    global SMALL_ARCHIVE, SMALL_FOLDER, SMALL_SHA256
    SMALL_FOLDER = tmp_path_factory.mktemp("small")
    (SMALL_FOLDER / "plugin.toml").write_text(MANIFEST.format(version="1.2.0", what='class = "hill_feed:HillFeed"'))
    (SMALL_FOLDER / "hill_feed.py").write_text("class HillFeed: ...\n")
    (SMALL_FOLDER / "LICENSE").write_text("x")
    made = pack(SMALL_FOLDER, SMALL_FOLDER / "small.penstock.zip")
    SMALL_ARCHIVE, SMALL_SHA256 = Path(made.path).read_bytes(), made.sha256


SMALL_ARCHIVE: bytes
SMALL_FOLDER: Path
SMALL_SHA256: str


@given(st.text(max_size=40))
def test_a_name_that_passes_stays_below_its_folder(name: str):
    if not name_fault(name):
        assert not Path(name).is_absolute()
        assert Path("/a/b", name).resolve().as_posix() == f"/a/b/{name}"


def test_names_that_collide_on_some_machine_are_refused():
    assert list(names_faults(["a/b", "c"])) == []
    assert list(names_faults(["a", "a"])) == ["'a' is there twice"]
    assert list(names_faults(["Read.py", "read.py"])) == ["'read.py' and 'Read.py' differ in case alone"]
    assert list(names_faults(["a", "A/b"])) == ["'a' is a file and the folder of 'A/b'"]


def test_a_version_does_not_lead_out_of_the_folder_of_plugins(packed: Packed):
    for version in ("../../../tmp/x", "", "1.0/2", "-1"):
        tree = json.loads(packed.listed.encoded()) | {"version": version}
        with pytest.raises(PackageError, match=r"wanted an id as my_venue and a version as 1\.2\.0"):
            read_list(json.dumps(tree, indent=2).encode() + b"\n", "x")


def test_a_list_that_says_the_same_in_other_bytes_is_refused(packed: Packed):
    assert read_list(packed.listed.encoded(), "x") == packed.listed
    with pytest.raises(PackageError, match="is not as `penstock plugin pack` writes it"):
        read_list(packed.listed.encoded() + b" ", "x")


def test_a_list_of_a_later_format_says_what_to_do(packed: Packed):
    tree = json.loads(packed.listed.encoded()) | {"format": 2}
    with pytest.raises(PackageError, match="packed in format 2, this release reads 1; install a newer one"):
        read_list(json.dumps(tree).encode(), "x")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "LICENSE").unlink(), "there is no licence; write LICENSE beside the manifest"),
        (lambda folder: (folder / "LICENSE").write_text(""), "there is no licence"),
        (lambda folder: (folder / "hill_feed.py").unlink(), r"hill_feed\.py is not packed; nor is a wheel"),
        (lambda folder: (folder / "link").symlink_to("/etc"), "link: a link or no plain file"),
        (lambda folder: (folder / "conformance.json").write_text("{"), "the report .* cannot be read"),
        (
            lambda folder: report_of(folder, folder / "conformance.json", tier="tin"),
            "says tier 'tin', wanted bronze",
        ),
        (
            lambda folder: (folder / "conformance.json").write_text('{"tier": "gold"}'),
            r"is of another, wanted hill_feed",
        ),
        (
            lambda folder: (folder / "conformance.json").write_text('{"plugin": {"id": "x", "version": "1"}}'),
            r"report conformance\.json is of x 1, wanted hill_feed 1\.2\.0; run `penstock conform` again",
        ),
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe: a link or no plain file"),
    ],
)
def test_what_cannot_be_packed_is_said(spoil: Callable[[Path], Any], words: str, plugin: Path, tmp_path: Path):
    spoil(plugin)
    with pytest.raises(PackageError, match=words):
        pack(plugin, tmp_path)
    assert list(tmp_path.glob("*.zip*")) == []


def test_a_package_has_one_version(plugin: Path, tmp_path: Path):
    both = "".join(MANIFEST.format(version=v, what='class = "hill_feed:HillFeed"') for v in ("1.2.0", "1.3.0"))
    (plugin / "plugin.toml").write_text(both.replace('id = "hill_feed"', 'id = "dale_feed"', 1))
    with pytest.raises(PackageError, match=r"differ: dale_feed 1\.2\.0, hill_feed 1\.3\.0; a package has one version"):
        pack(plugin, tmp_path)


def test_a_broken_manifest_is_not_packed(plugin: Path, tmp_path: Path):
    (plugin / "plugin.toml").write_text(MANIFEST.format(version="1", what='colour = "red"'))
    with pytest.raises(ManifestError, match="colour"):
        pack(plugin, tmp_path)


def test_programs_are_packed_by_platform_and_installed_on_theirs_alone(plugin: Path, tmp_path: Path):
    other = "darwin-aarch64" if this_platform() != "darwin-aarch64" else "linux-x86_64"
    what = f'command = {{ {other} = ["./bin/far"] }}'
    (plugin / "plugin.toml").write_text(MANIFEST.format(version="1.2.0", what=what))
    with pytest.raises(PackageError, match=rf"hill_feed's command for {other} is \./bin/far, which is not packed"):
        pack(plugin, tmp_path)
    (plugin / "bin").mkdir()
    (plugin / "bin" / "far").write_bytes(b"\x7fELF")
    made = pack(plugin, tmp_path)
    assert [each.path for each in made.listed.files if each.executable] == ["bin/far"]
    with pytest.raises(PackageError, match=f"is for {other}, this is {this_platform()}; get a package"):
        install(Path(made.path), tmp_path / "plugins")
    done = install(Path(made.path), tmp_path / "plugins", platform=other)
    assert os.access(Path(done.folder) / "bin" / "far", os.X_OK)


def test_the_report_goes_along_once_and_junit_does_not(plugin: Path, tmp_path: Path):
    found = report_of(plugin, plugin / "report.json")
    (plugin / "junit.xml").write_text(found.as_junit())
    (plugin / "tables" / "rows.xml").write_text("<rows/>")
    with pytest.raises(PackageError, match="tables/rows.xml changed since"):
        pack(plugin, tmp_path, report=plugin / "report.json")
    report_of(plugin, plugin / "report.json")
    made = pack(plugin, tmp_path, report=plugin / "report.json")
    names = {each.path for each in made.listed.files}
    assert names == {
        "LICENSE", "conformance.json", "hill_feed.py", "plugin.toml", "tables/prices.csv", "tables/rows.xml",
    }  # fmt: skip
    assert made.listed.tier == "silver"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder, _: change(folder), r"is of other files: hill_feed\.py changed since; run conform again"),
        (lambda folder, _: (folder / "more.py").touch(), r"is of other files: more\.py changed since"),
        (
            lambda folder, _: (folder / "tables" / "prices.csv").unlink(),
            r"other files: tables/prices\.csv changed since",
        ),
        (lambda _, tree: tree.update(tier="gold"), "says tier gold, its cases say silver"),
        (lambda _, tree: tree.update(tier=""), "says tier none, its cases say silver"),
        (lambda _, tree: tree["counts"].update(failed=0), "its cases say .'passed'"),
        (lambda _, tree: tree["cases"][0].update(outcome="failed"), "says counts"),
        (lambda _, tree: tree["cases"].append(tree["cases"][0]), "has cases that the kit has not"),
        (lambda _, tree: tree["cases"][0].update(group="flood"), "has cases that the kit has not"),
        (lambda _, tree: drop_failed(tree), "says tier silver, its cases say none, with 1 cases not run"),
        (lambda _, tree: tree.update(cases=[{}]), "has cases that cannot be read"),
        (lambda _, tree: tree.update(kit="0.1"), "is of the kit '0.1', this is"),
        (lambda _, tree: tree.update(kind="model"), "is of the kind 'model'"),
        (lambda _, tree: tree.update(files={}), "names no files; run `penstock conform` on the plugin's folder"),
        (lambda _, tree: tree["files"].update({"hill_feed.py": "0"}), "has a digest that is not that of the files"),
    ],
)
def test_a_stale_or_forged_report_is_refused(
    spoil: Callable[[Path, dict[str, Any]], Any], words: str, plugin: Path, tmp_path: Path
):
    report_of(plugin, file := tmp_path / "report.json")
    tree = json.loads(file.read_text())
    spoil(plugin, tree)
    file.write_text(json.dumps(tree))
    with pytest.raises(PackageError, match=words):
        pack(plugin, tmp_path, report=file)


def test_files_that_stay_out_are_no_change(plugin: Path, tmp_path: Path):
    (plugin / "notes.txt").write_text("tried, not packed")
    report_of(plugin, tmp_path / "report.json")
    assert pack(plugin, tmp_path, report=tmp_path / "report.json", exclude=["notes.txt"]).listed.tier == "silver"


def test_a_report_and_a_licence_of_elsewhere_are_taken_along(plugin: Path, tmp_path: Path):
    (plugin / "LICENSE").unlink()
    report_of(plugin, tmp_path / "report.json")
    (tmp_path / "MPL.txt").write_text("MPL-2.0")
    made = pack(plugin, tmp_path, licence=tmp_path / "MPL.txt", report=tmp_path / "report.json")
    assert (made.listed.licence, made.listed.report, made.listed.tier) == ("LICENSE", "conformance.json", "silver")
    assert install(Path(made.path), tmp_path / "plugins").listed.tier == "silver"


def test_the_folder_of_plugins_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PENSTOCK_PLUGINS", str(tmp_path))
    assert plugins_folder() == tmp_path
    assert plugins_folder("/x") == Path("/x")
    monkeypatch.delenv("PENSTOCK_PLUGINS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert plugins_folder() == Path("/data/penstock/plugins")


def test_what_is_no_package_in_the_folder_is_told_and_the_rest_is_listed(installed: Installation, tmp_path: Path):
    (tmp_path / "plugins" / "packages" / "notes").mkdir()
    found, faults = installed_packages(tmp_path / "plugins")
    assert [each.folder for each in found] == [installed.folder]
    assert faults == [f"{tmp_path}/plugins/packages/notes is no installed package; remove it"]


def wheel(folder: Path, name: str, version: str, source: str) -> Path:
    """Write the smallest wheel of one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture
def with_wheel(plugin: Path, tmp_path: Path) -> Path:
    (plugin / "wheels").mkdir()
    wheel(plugin / "wheels", "hill_tables", "2.0", "height_m = 2000\n")
    return Path(install(Path(pack(plugin, tmp_path).path), tmp_path / "plugins", environment=False).folder)


@pytest.mark.parametrize("tool", ["uv", pytest.param("venv", marks=pytest.mark.long)])  # pip takes seconds
def test_a_plugin_gets_an_environment_of_its_own_over_the_hosts_sdk(tool: str, with_wheel: Path, tmp_path: Path):
    if tool == "uv" and shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    root, told = tmp_path / "plugins", []
    with pytest.raises(PackageError, match="has no environment of its own yet; run `penstock plugin install` again"):
        environment_of(with_wheel, root)
    made = make_environment(
        with_wheel, root, uv=None if tool == "uv" else "", progress=lambda what, *_: told.append(what)
    )
    assert (made.by, made.layered) == (tool, True)
    assert (told[0], told[-1]) == (
        "environment made by uv" if tool == "uv" else "environment made by venv, for there is no uv",
        "environment is ready",
    )
    code = "import hill_tables, penstock_sdk, numpy; print(hill_tables.height_m, hill_tables.__file__)"
    ran = subprocess.run([made.interpreter, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert ran.stdout.split() == ["2000", ran.stdout.split()[1]] and ran.stdout.split()[1].startswith(made.folder)
    assert interpreter_of(with_wheel) == made.interpreter
    assert interpreter_of(tmp_path / "hill") == ""
    child = launch(
        [made.interpreter, "-c", code],
        confinement=confinement_for(
            [], Resources(), plugin_folder=with_wheel, data_folder=tmp_path, interpreter=made.interpreter
        ),
        env=plugin_environment(tmp_path),
        stdout=subprocess.PIPE,
    )
    assert child.process.communicate(timeout=60)[0].decode() == ran.stdout  # it reads its environment, and the host's
    assert environment_of(with_wheel, root) == make_environment(with_wheel, root, uv="/no/such/uv") == made
    assert subprocess.run([sys.executable, "-c", "import hill_tables"], capture_output=True).returncode == 1


def test_an_environment_that_cannot_be_made_says_what_its_tool_said(with_wheel: Path, tmp_path: Path):
    failing = tmp_path / "uv"
    failing.write_text("#!/bin/sh\necho no space for $1 >&2\nexit 3\n")
    failing.chmod(0o755)
    with pytest.raises(PackageError, match="no environment, uv venv --quiet ended with 3: no space for venv"):
        make_environment(with_wheel, tmp_path / "plugins", uv=str(failing))
    assert [path.suffix for path in (tmp_path / "plugins" / "environments").iterdir()] == [".lock"]


def console(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["plugin", *map(str, words)], providers=[])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_line_packs_installs_lists_and_verifies(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_PLUGINS", str(tmp_path / "plugins"))
    status, out, _ = console(capsys, "pack", plugin)
    pin = out.splitlines()[1]
    assert status == 0
    assert out.startswith("hill_feed-1.2.0.penstock.zip: hill_feed 1.2.0 (feed; any platform), 4 files, ")
    assert out.endswith("pack with --report FILE\n")
    status, out, _ = console(capsys, "install", "hill_feed-1.2.0.penstock.zip")
    assert (status, out.splitlines()[-1]) == (0, pin)
    (tmp_path / "plugins.toml").write_text(f'[plugins.hills]\nuse = "hill_feed"\n{pin}\n[plugins.other]\nuse = "x"\n')
    status, out, _ = console(capsys, "list", "--json")
    (row,) = json.loads(out)["packages"]
    assert (status, row["id"], row["kind"], row["used_by"]) == (0, "hill_feed", "feed", ["plugins.toml:hills"])
    status, out, _ = console(capsys, "list")
    assert out.splitlines()[0].split() == ["hill_feed", "1.2.0", "feed", "no", "tier", pin[10:22], "plugins.toml:hills"]
    for target in ("hill_feed", "hill_feed-1.2.0", row["folder"], "hill_feed-1.2.0.penstock.zip"):
        status, out, _ = console(capsys, "verify", target)
        assert (status, out.startswith("sound: hill_feed 1.2.0")) == (0, True)
    change(Path(row["folder"]))
    status, out, _ = console(capsys, "verify", "hill_feed")
    assert (status, "hill_feed.py was changed" in out) == (1, True)
    status, out, _ = console(capsys, "verify", "hill_feed-1.2.0.penstock.zip", "--sha256", "0" * 64, "--json")
    assert (status, json.loads(out)["sound"]) == (1, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "nowhere"], "nowhere: no such folder; give a plugin's folder or its .py file"),
        (["install", "nowhere.zip"], "nowhere.zip: no such file or directory"),
        (["verify", "nothing"], "nothing is no archive and no installed package; installed: none"),
    ],
)
def test_the_command_line_says_in_a_line_what_it_cannot_do(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_PLUGINS", str(tmp_path / "plugins"))
    assert console(capsys, *words) == (2, "", f"penstock plugin: {said}\n")


def test_a_single_file_is_a_package_too(tmp_path: Path):
    block = IN_A_FILE + '# contract = "feed/1..1"\n# class = "Lone"\n# ///\n'
    (tmp_path / "lone.py").write_text(block + "class Lone: ...\n")
    (tmp_path / "stranger.py").write_text("x = 1\n")
    with pytest.raises(PackageError, match="there is no licence"):
        pack(tmp_path / "lone.py", tmp_path)
    (tmp_path / "LICENSE").write_text("MIT")
    made = pack(tmp_path / "lone.py", tmp_path)
    assert [each.path for each in made.listed.files] == ["LICENSE", "lone.py"]
    install(Path(made.path), tmp_path / "plugins")
    (manifest,) = installed_manifests(tmp_path / "plugins")
    assert manifest.name == "lone.py" and verify_pin(manifest, made.sha256)
    with pytest.raises(PackageError, match="it holds no manifest"):
        pack(tmp_path / "stranger.py", tmp_path)


def test_who_may_not_write_there_is_told_what_to_do(
    installed: Installation, packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_args: Any, **_more: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(PackageError, match=r"/elsewhere/packages: you may not write there; .*--folder or PENSTOCK_PL"):
        install(Path(packed.path), tmp_path / "elsewhere")
    root = Path(installed.folder).parents[1]
    assert not install(Path(packed.path), root).new
    manifest = Path(installed.folder) / "plugin.toml"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text() + "# more\n")
    with pytest.raises(PackageError, match=r"plugin\.toml was changed; .*; you may not do that in .*: let its"):
        install(Path(packed.path), root)
