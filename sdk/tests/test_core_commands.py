"""Operators' commands of plugins: heard by the plugin that declares the word, told as unknown where none runs."""

from __future__ import annotations

import pytest

from penstock_sdk.events import Alert, OperatorCommand
from penstock_sdk.plugin import CommandOutcome, Operations, Outcome
from penstock_sdk.testing import SimKernel


class Notes(Operations):
    commands = ("note",)

    def on_operator_command(self, command: OperatorCommand) -> Outcome:
        if command.command == "note":
            self.ctx.state.setdefault("notes", []).append([command.who, command.argument])
        return None


class Bare(Operations):
    commands = ("bare",)


class Kills(Operations):
    commands = ("kill",)


def unknown(kernel: SimKernel) -> list[str]:
    return [alert.met for alert in kernel.of(Alert) if alert.code == "command.unknown"]


@pytest.fixture
def kernel() -> SimKernel:
    kernel = SimKernel()
    kernel.add(Notes, "notes")
    kernel.start()
    return kernel


def test_a_plugins_word_is_heard_with_who_gave_it(kernel: SimKernel):
    kernel.command("note", who="anna", argument="storm")
    assert kernel.slots["notes"].plugin.ctx.state == {"notes": [["anna", "storm"]]}
    assert unknown(kernel) == []


def test_a_word_that_nobody_has_is_told_with_those_there_are(kernel: SimKernel):
    kernel.command("notes")
    assert unknown(kernel) == ["command notes"]
    assert kernel.of(Alert)[-1].way_out.endswith("ack, stop, apply, note")


def test_a_quarantined_plugin_does_no_command(kernel: SimKernel):
    doer = kernel.doer_of("note")
    assert doer is not None and doer.name == "notes"
    kernel.command("quarantine", target="notes")
    assert kernel.doer_of("note") is None
    kernel.command("note", argument="storm")
    assert unknown(kernel) == ["command note"]
    assert kernel.slots["notes"].plugin.ctx.state == {}


@pytest.mark.parametrize(("cls", "whose"), [(Notes, "notes"), (Kills, "the kernel")])
def test_a_word_is_one_plugins_alone(kernel: SimKernel, cls: type[Operations], whose: str):
    with pytest.raises(ValueError, match=rf"^command \w+ of plugin more is {whose}'s already"):
        kernel.add(cls, "more")


def test_a_plugin_that_says_nothing_of_its_commands_lets_them_pass(kernel: SimKernel):
    plugin = kernel.add(Bare, "bare")
    command = OperatorCommand(command="bare", who="x", why="y")
    assert list(plugin.check_command(command)) == []
    assert plugin.command_outcome(command) == CommandOutcome("bare done")
    with pytest.raises(ValueError, match=r"^bare met 'x', wanted nothing"):
        plugin.asked("bare", "x")
