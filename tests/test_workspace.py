"""Proves what the set-up promises: pins have hashes and no host, choices a licence, members what they need in core."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ["uv", "core", "rtl", "synth", "gpu", "bench-peers", "pynq"]
MEMBERS = ["sdk", "kernel", "plugins", "hw"]
FITTING = ["core", "rtl", "synth", "gpu"]  # these share one environment


def normalised(requirement: str) -> str:
    """The name a requirement asks for, as indexes spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0]).lower()


def pins(group: str) -> dict[str, set[str]]:
    """The versions by name in an exported group; several where they differ by platform or Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / f"requirements/{group}.txt").read_text(), re.M):
        found.setdefault(name, set()).add(version)
    return found


def choices(group: str) -> list[str]:
    """The lines of a group's source that ask for a distribution."""
    lines = (ROOT / f"requirements/{group}.in").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-c "))]


def test_every_source_has_its_export_and_is_checked_here() -> None:
    for ending in ("in", "txt"):
        assert sorted(path.stem for path in (ROOT / "requirements").glob(f"*.{ending}")) == sorted(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_an_export_holds_nothing_but_pins_with_hashes(group: str) -> None:
    text = (ROOT / f"requirements/{group}.txt").read_text()
    requirements = text.replace("\\\n", " ").splitlines()
    pinned = re.compile(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert [line for line in requirements if not pinned.fullmatch(line)] == []


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_exported_and_has_its_licence_and_reason(group: str) -> None:
    assert {normalised(line) for line in choices(group)} <= set(pins(group))
    assert [line for line in choices(group) if not re.search(r" # [^;,]+[;,] \S", line)] == []


def test_groups_that_share_an_environment_agree_on_every_version() -> None:
    core, *others = [pins(group) for group in FITTING]
    for other in others:
        for name in core.keys() & other.keys():
            assert other[name] <= core[name], name


@pytest.mark.parametrize("member", MEMBERS)
def test_what_a_member_needs_is_pinned_in_core(member: str) -> None:
    project = tomllib.loads((ROOT / member / "pyproject.toml").read_text())
    wanted = {normalised(line) for line in project["project"]["dependencies"] + project["build-system"]["requires"]}
    assert wanted <= set(pins("core")) | {f"penstock-{name}" for name in MEMBERS}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_carries_the_licence(member: str) -> None:
    assert (ROOT / member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_make_alone_lists_the_commands_of_the_readme() -> None:
    listing = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"run", "test", "test-long", "lint", "bench", "docs"} <= set(re.findall(r"^  make (\S+) +\S", listing, re.M))
