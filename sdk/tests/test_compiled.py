"""Proves that compiled golden models equal the plain ones bit for bit, and that the disk cache is used, never stale."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from penstock_sdk.compiled import NO_JIT_ENV, compile_golden
from penstock_sdk.golden import matching, positions, risk_gate

Table = npt.NDArray[np.int64]


@pytest.fixture(autouse=True)
def jit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_JIT_ENV, raising=False)


def commands(seed: int, count: int) -> Table:
    draw = np.random.default_rng(seed)
    frame = np.zeros((count, matching.CMD_WIDTH), np.int64)
    frame[:, matching.CMD_OP] = draw.choice([1, 2, 3, 4, 5, 6, 0], count, p=[0.6, 0.1, 0.2, 0.04, 0.04, 0.01, 0.01])
    frame[:, matching.CMD_BOOK] = draw.integers(-1, 4, count)
    frame[:, matching.CMD_ORDER_ID] = draw.integers(0, 60, count) + (draw.integers(0, 2, count) << 40)
    frame[:, matching.CMD_OWNER] = draw.integers(0, 4, count)
    frame[:, matching.CMD_SIDE] = draw.choice([0, 1, 2], count, p=[0.02, 0.49, 0.49])
    frame[:, matching.CMD_KIND] = draw.choice([1, 2, 3, 4, 9], count, p=[0.7, 0.1, 0.1, 0.09, 0.01])
    frame[:, matching.CMD_PRICE] = draw.choice([*range(-4, 5), matching.ABSENT, matching.PRICE_MAX], count)
    frame[:, matching.CMD_QTY] = draw.choice([0, 1, 2, 3, 5, 8, matching.QTY_MAX_LOTS], count)
    frame[:4, :2] = [(matching.OP_OPEN, book) for book in range(4)]
    return frame


@pytest.mark.parametrize("seed", [1, 2])
def test_matching_compiled_equals_plain(seed: int) -> None:
    fast, frame = compile_golden(matching), commands(seed, 3_000)
    pairs = [(module, module.new_engine(4, 40, 20), module.new_out(50)) for module in (matching, fast)]
    at = 0
    while at < len(frame):
        ends = [module.submit_frame(state, out, frame, at) for module, state, out in pairs]
        assert ends[0] == ends[1]
        assert np.array_equal(pairs[0][1], pairs[1][1])
        assert np.array_equal(pairs[0][2], pairs[1][2])
        at = ends[0]
    matching.check(pairs[1][1])


def test_matching_scalar_calls_compiled_equal_plain() -> None:
    fast, frame = compile_golden(matching), commands(3, 1_500)
    pairs = [(module, module.new_engine(4, 40, 20), module.new_out(50)) for module in (matching, fast)]
    for op, book, order_id, owner, side, kind, price, qty in frame.tolist():
        answers = []
        for module, state, out in pairs:
            if op == matching.OP_SUBMIT:
                answer = module.submit(state, out, book, order_id, owner, side, kind, price, qty)
            elif op == matching.OP_CANCEL:
                answer = module.cancel(state, out, order_id)
            elif op == matching.OP_AMEND:
                answer = module.amend(state, out, order_id, price, qty)
            elif op == matching.OP_CANCEL_OWNER:
                answer = module.cancel_owner(state, out, book, owner)
            else:
                answer = (module.close_book if op == matching.OP_CLOSE else module.open_book)(state, out, book)
            levels = np.zeros((20, 3), np.int64)
            answers.append((answer, module.levels_of(state, book, 1 + op % 2, 20, levels), levels.tolist()))
        assert answers[0] == answers[1]
        assert np.array_equal(pairs[0][2], pairs[1][2])
    assert np.array_equal(pairs[0][1], pairs[1][1])


@pytest.mark.parametrize("seed", [1, 2])
def test_risk_gate_compiled_equals_plain(seed: int) -> None:
    fast, draw = compile_golden(risk_gate), np.random.default_rng(seed)
    pairs = [(module, module.new_gate(4, 4, 8, 60), module.new_verdicts(200)) for module in (risk_gate, fast)]
    for module, gate, _ in pairs:
        for listing, intervals in enumerate([[0, 1, 2, 3], [0], [2, 3]]):
            module.define_listing(
                gate, listing, intervals, qty_max_lots=1 << 50, collar_ticks=90, notional_max=1 << 61,
                ref_age_max_ns=4_000, minutes=15, kw_per_lot=1 << 9, floor_ticks=-80,
            )  # fmt: skip
        for interval in range(4):
            module.set_position_limit(gate, interval, 1 << 60, 40_000)
        module.set_rate(gate, 3, 40)
    for step in range(40):
        orders = np.zeros((200, risk_gate.ORDER_WIDTH), np.int64)
        orders[:, risk_gate.ORDER_LISTING] = draw.choice([0, 1, 2, 3, -1], 200, p=[0.4, 0.3, 0.28, 0.01, 0.01])
        orders[:, risk_gate.ORDER_SIDE] = draw.choice([0, 1, 2], 200, p=[0.02, 0.49, 0.49])
        orders[:, risk_gate.ORDER_PRICE] = draw.choice([*range(-95, 95, 7), risk_gate.ABSENT, 1 << 62], 200)
        orders[:, risk_gate.ORDER_QTY] = draw.choice([0, 1, 1, 1, 2, 2, 3, 3, 1 << 42, 1 << 55], 200)
        orders[:, risk_gate.ORDER_AT_NS] = step * 4_000 + np.arange(200) * 20
        orders[:, risk_gate.ORDER_INTENT_ID] = draw.integers(0, 10_000, 200)
        more = [int(each) for each in draw.integers(0, 4, 4)]
        answers = []
        for module, gate, verdicts in pairs:
            marked = module.mark_reference(gate, step % 4, 5 * step - 90, step * 4_000)
            passed = module.check_orders(gate, orders, verdicts)
            moved = [module.reserve(gate, *more[:3]), module.release(gate, *more[1:])]
            moved.append(module.fill(gate, more[0], more[1], 1 + more[3]))
            one = module.check_order(gate, 1, 1, 4, 2, step * 4_000, 20_000 + step, module.new_verdicts(1))
            answers.append((marked, passed, moved, one))
        assert answers[0] == answers[1]
        assert np.array_equal(pairs[0][1], pairs[1][1])
        assert np.array_equal(pairs[0][2], pairs[1][2])
    assert len(risk_gate.counts(pairs[0][1])) >= 8, "the stream met too few reasons to prove anything"


def test_positions_compiled_equal_plain() -> None:
    fast, draw = compile_golden(positions), np.random.default_rng(4)
    fills = np.zeros((4_000, positions.FILL_WIDTH), np.int64)
    fills[:, positions.FILL_ROW] = draw.choice([-1, 0, 1, 2, 3, 4], 4_000, p=[0.01, 0.01, 0.4, 0.4, 0.17, 0.01])
    fills[:, positions.FILL_SIDE] = draw.choice([0, 1, 2], 4_000, p=[0.01, 0.5, 0.49])
    fills[:, positions.FILL_PRICE] = draw.choice([*range(-500, 500, 3), 1 << 61, positions.ABSENT], 4_000)
    fills[:, positions.FILL_QTY] = draw.choice([1, 2, 3, 40, positions.LOTS_MAX], 4_000, p=[0.3, 0.3, 0.3, 0.09, 0.01])
    for column in (positions.FILL_DECISION, positions.FILL_ARRIVAL):
        fills[:, column] = draw.choice([*range(-900, 900, 7), -(1 << 62), positions.ABSENT], 4_000)
    marks, rows = np.array([5, -7, positions.ABSENT], np.int64), np.array([1, 2, 3], np.int64)
    results = []
    for module in (positions, fast):
        table, at, refused = module.new_table(4), 0, 0
        for row, fee in ((1, 0), (2, 123_457)):
            module.open_row(table, row, 17)
            module.set_fees(table, row, fee, -3)
        while at < len(fills):
            at = module.apply_fills(table, fills, at)
            if at < len(fills):
                refused += module.apply_fill(table, *(int(cell) for cell in fills[at]))
                at += 1
        told = np.zeros((3, module.FIGURE_WIDTH), np.int64)
        module.figures(table, rows, marks, told)
        single = [(module.mark(table, row, 9), module.realised(table, row)) for row in range(4)]
        results.append((table.tolist(), refused, told.tolist(), single))
    assert results[0] == results[1]
    assert results[0][1] > 100


def test_no_jit_gives_the_plain_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_JIT_ENV, "1")
    assert compile_golden(matching).submit is matching.submit
    monkeypatch.setenv(NO_JIT_ENV, "0")
    assert compile_golden(matching).submit is not matching.submit


def test_the_module_itself_stays_plain_and_the_namespace_offers_all_of_it() -> None:
    fast = compile_golden(matching)
    assert type(matching.submit).__name__ == "function"
    assert fast.new_engine is matching.new_engine
    assert {name for name in vars(matching) if not name.startswith("_")} == vars(fast).keys()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A golden module of two files: the constant in one, the functions in the other."""
    (tmp_path / "golden_consts.py").write_text("STEP = 3\n")
    (tmp_path / "golden_small.py").write_text(
        "from golden_consts import STEP\n\n\n"
        "def _twice(a):\n    return 2 * a\n\n\n"
        "def grown(a):\n    return _twice(a) + STEP\n\n\n"
        "KERNELS = (_twice, grown)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("golden_consts", "golden_small"):
        sys.modules.pop(name, None)


def load(folder: Path) -> ModuleType:
    """Import both files from their present source."""
    for name in ("golden_consts", "golden_small"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        exec(compile((folder / f"{name}.py").read_text(), str(folder / f"{name}.py"), "exec"), module.__dict__)
        module.__file__ = str(folder / f"{name}.py")
    return sys.modules["golden_small"]


def test_a_second_start_loads_from_the_disk(folder: Path) -> None:
    first = compile_golden(load(folder))
    assert first.grown(5) == 13
    assert sum(first.grown.stats.cache_misses.values()) == 1
    second = compile_golden(load(folder))
    assert second.grown(5) == 13
    assert sum(second.grown.stats.cache_hits.values()) == 1
    assert not second.grown.stats.cache_misses


def test_a_constant_changed_in_another_file_is_not_met_by_a_stale_cache(folder: Path) -> None:
    assert compile_golden(load(folder)).grown(5) == 13
    (folder / "golden_consts.py").write_text("STEP = 4\n")
    assert compile_golden(load(folder)).grown(5) == 14


def test_a_callee_called_with_constants_is_compiled_once(folder: Path) -> None:
    with (folder / "golden_small.py").open("a") as source:
        source.write("\n\ndef both(a):\n    return _twice(3) + _twice(4) + _twice(a)\n\n\nKERNELS = (_twice, both)\n")
    fast = compile_golden(load(folder))
    assert fast.both(1) == 16
    callee = fast.both.py_func.__globals__["_twice"]
    assert len(callee.signatures) == 1


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("KERNELS = None", TypeError, "^golden_small: wanted KERNELS, a tuple of plain functions; met NoneType$"),
        ("KERNELS = (_twice, 5)", TypeError, "^golden_small: wanted KERNELS"),
        ("KERNELS = (grown, _twice)", ValueError, "^golden_small: grown calls _twice, which comes after it"),
        ("KERNELS = (_twice, _twice)", ValueError, "^golden_small: KERNELS names _twice twice$"),
    ],
)
def test_a_wrong_list_of_kernels_is_refused(folder: Path, line: str, error: type[Exception], message: str) -> None:
    with (folder / "golden_small.py").open("a") as source:
        source.write(line + "\n")
    with pytest.raises(error, match=message):
        compile_golden(load(folder))


def test_a_module_is_compiled_once_however_often_it_is_asked_for() -> None:
    """Compiled code is never let go of: a market made anew every day must not load its own every day."""
    first, again = compile_golden(matching), compile_golden(matching)
    assert first is not again
    assert first.submit is again.submit
    assert first.submit is not matching.submit
