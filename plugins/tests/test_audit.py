"""The audit trail holds every step once, also over a restart, and shows any change made to it afterwards."""

from __future__ import annotations

import json

import msgspec
import pytest

from penstock_plugins.operations import audit
from penstock_plugins.operations.audit import Audit, AuditConfig, AuditError, verify_audit
from penstock_sdk.events import OrderState, RunEnd
from penstock_sdk.plugin import Strategy

SMALL = AuditConfig(block_lines=4)


def build(bench, folder, config=SMALL, live=True, listings=1):
    made = bench(listings=listings)
    made.audit = made.add(Audit, "audit", config, run_dir=folder)
    made.trader = made.add(Strategy, "trader")
    if not live:
        made.kernel.effect = lambda fn, args: None
    return made.start()


def order(made, at_s, side=1, price_ticks=100):
    make = made.trader.buy if side == 1 else made.trader.sell
    made.kernel.feed(make(1, price_ticks, 2), at_ns=at_s * 10**9, producer="trader")


def end(made):
    """Stop everything, and end the run as the kernel does."""
    made.kernel.stop()
    made.kernel.feed(RunEnd(reason="done"))


def lines(folder):
    """Return the lines of the file, its blocks' own lines left out."""
    read = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    return [line for line in read if line["what"] != "block"]


def test_an_order_leaves_its_whole_way_in_the_trail(bench, tmp_path):
    made = build(bench, tmp_path)
    order(made, 1, price_ticks=-250)
    made.fill(made.orders(OrderState.ROUTED)[0], 2)
    made.kernel.command("kill", who="ann", why="drill")
    order(made, 2)
    end(made)
    said = [(e["what"], e["who"], e.get("kind"), e.get("state"), e.get("reason")) for e in lines(tmp_path)]
    way = [entry for entry in said if entry[0] not in ("plugin", "end")]
    assert way == [
        ("intent", "trader", "limit", None, None),
        ("order", "trader", "limit", "routed", None),
        ("report", "trader", "accepted", None, None),
        ("report", "trader", "fill", None, None),
        ("command", "ann", None, None, None),
        ("limit", "all", "kill", None, None),
        ("intent", "trader", "limit", None, None),
        ("order", "trader", "limit", "refused", "kill_switch"),
    ]
    sent = next(e for e in lines(tmp_path) if e["what"] == "order")
    assert (sent["price_ticks"], sent["qty_lots"], sent["side"], sent["at_ns"]) == (-250, 2, "buy", 10**9)


def test_a_sound_trail_verifies_and_says_that_it_is_whole(bench, tmp_path):
    made = build(bench, tmp_path)
    for at_s in range(1, 9):
        order(made, at_s)
    assert not verify_audit(tmp_path / "audit.jsonl").ended
    end(made)
    trail = verify_audit(tmp_path / "audit.jsonl")
    assert trail.ended
    assert trail.lines == len(lines(tmp_path)) > 24
    assert trail.last_seq == lines(tmp_path)[-1]["seq"]


def test_any_byte_changed_and_any_line_removed_shows(bench, tmp_path):
    made = build(bench, tmp_path)
    for at_s in range(1, 6):
        order(made, at_s)
    end(made)
    path = tmp_path / "audit.jsonl"
    sound = path.read_bytes()
    for at in range(0, len(sound), 7):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with pytest.raises(AuditError, match=r"^audit.jsonl lines \d+"):
            verify_audit(path)
    rows = sound.splitlines(keepends=True)
    for at in range(len(rows) - 1):
        path.write_bytes(b"".join(rows[:at] + rows[at + 1 :]))
        with pytest.raises(AuditError, match=r"^audit.jsonl lines \d+"):
            verify_audit(path)


def test_a_whole_block_cut_out_shows(bench, tmp_path):
    made = build(bench, tmp_path)
    for at_s in range(1, 9):
        order(made, at_s)
    path = tmp_path / "audit.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    ends = [at for at, row in enumerate(rows) if row.startswith(b'{"what":"block"')]
    path.write_bytes(b"".join(rows[: ends[0] + 1] + rows[ends[1] + 1 :]))
    with pytest.raises(AuditError, match=r"a block was removed$"):
        verify_audit(path)


def test_a_short_block_is_written_when_it_is_old_enough(bench, tmp_path):
    made = build(bench, tmp_path, AuditConfig(block_lines=1000, block_minutes_max=15))
    order(made, 1)
    assert not (tmp_path / "audit.jsonl").exists()
    order(made, 901)
    assert verify_audit(tmp_path / "audit.jsonl").lines >= 4


def test_without_a_folder_nothing_is_kept(bench):
    made = build(bench, None)
    order(made, 1)
    made.kernel.stop()
    assert made.audit.snapshot()["seqs"] == []


def test_a_restart_neither_loses_nor_doubles_a_line(bench, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    straight = build(bench, whole)
    for at_s in range(1, 12):
        order(straight, at_s)
    end(straight)

    first = build(bench, broken)
    for at_s in range(1, 4):
        order(first, at_s)
    state = first.kernel.snapshot()
    for at_s in range(4, 8):
        order(first, at_s)
    # The process dies within a write. The next one takes up the snapshot, and replays orders 4 to 7 without effects.
    with (broken / "audit.jsonl").open("ab") as file:
        file.write(b'{"seq":9999,"at_')
    second = build(bench, broken, live=False, listings=0)
    second.kernel.restore(state)
    for at_s in range(4, 8):
        order(second, at_s)
    del second.kernel.effect
    for at_s in range(8, 12):
        order(second, at_s)
    end(second)

    def told(folder):
        return [line for line in lines(folder) if line["what"] not in ("plugin", "end")]

    assert told(broken) == told(whole)
    assert verify_audit(broken / "audit.jsonl").ended


def test_lines_that_a_power_cut_took_are_named(bench, tmp_path):
    first = build(bench, tmp_path)
    for at_s in range(1, 4):
        order(first, at_s)
    path = tmp_path / "audit.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    cut = next(at for at, row in enumerate(rows) if row.startswith(b'{"what":"block"')) + 1
    assert cut < len(rows)
    path.write_bytes(b"".join(rows[:cut]))
    second = build(bench, tmp_path, live=False, listings=0)
    second.kernel.restore(first.kernel.snapshot())
    del second.kernel.effect
    order(second, 4)
    end(second)
    gap = next(line for line in lines(tmp_path) if line["what"] == "gap")
    assert gap["text"].startswith(f"lines after seq {json.loads(rows[cut - 2])['seq']} ")
    assert verify_audit(path).ended


def test_a_full_disk_loses_no_line_and_leaves_no_half_one(bench, tmp_path, monkeypatch):
    made = build(bench, tmp_path, live=False)
    order(made, 1)
    upto = made.kernel.cascade.seq

    def fill_up(path, tail, body, count, last_seq):
        path.write_bytes(body[: len(body) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "append_block", fill_up)
        with pytest.raises(OSError, match="No space left"):
            made.audit._flush(upto)
    made.audit._flush(upto)
    assert verify_audit(tmp_path / "audit.jsonl").last_seq == upto
    assert [e["what"] for e in lines(tmp_path)].count("order") == 1


@pytest.mark.parametrize("wrong", [{"block_lines": 0}, {"block_minutes_max": -1.0}])
def test_a_block_that_is_never_written_is_refused(wrong):
    with pytest.raises(ValueError, match=r"^Expected `\w+` >=? [01][.\d]* - at `[$][.]block_\w+`$"):
        msgspec.convert(wrong, AuditConfig)
