"""A snapshot gives back what it was given or is refused; a kernel restored from one goes on byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kernel.tests.toy_market import END_NS, TOYS, ToyStrategy, attach, kernel_in, recorded, start
from penstock_kernel.snapshots import SnapshotError, load_snapshot, newest_snapshot, save_snapshot, thin_snapshots

VERSIONS = {"python": "3", "plugin a": "1.0"}
PADDED = np.dtype({"names": ["a", "b"], "formats": ["<u2", "<f8"], "offsets": [2, 8], "itemsize": 24})
NESTED = np.dtype([("in", PADDED), ("row", "<i4", (2, 3)), (">", ">i2")])
DTYPES = st.sampled_from(
    [np.dtype(text) for text in ("<i8", ">u4", "<f4", "?", "S3", "U2", "<M8[ns]", "<c16", "V5")] + [PADDED, NESTED]
)


def arrays() -> st.SearchStrategy[npt.NDArray[Any]]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    return st.builds(_array, DTYPES, shapes, st.integers(0, 255), st.booleans())


def _array(dtype: np.dtype[Any], shape: tuple[int, ...], fill: int, fortran: bool) -> npt.NDArray[Any]:
    made = np.zeros(shape, dtype, order="F" if fortran else "C")
    if made.size and dtype.kind not in "UM?":
        count = made.nbytes
        body = bytes((fill + i) % 128 for i in range(count))
        made = np.frombuffer(body, dtype).reshape(shape).copy(order="F" if fortran else "C")
    return made


PLAIN = (
    st.none() | st.booleans() | st.text(max_size=5) | st.binary(max_size=5) | st.floats(allow_nan=False)
    | st.integers(-(2**200), 2**200)
)  # fmt: skip
STATES = st.dictionaries(
    st.text(max_size=4) | st.integers(-(2**63), 2**64 - 1),
    st.recursive(
        PLAIN | arrays(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_size=4,
)


def raw(array: npt.NDArray[Any]) -> Any:
    """Return the bytes of an array, of each field alone: numpy copies leave anything in the gaps between."""
    names = array.dtype.names
    return [raw(array[name]) for name in names] if names else array.tobytes()


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and raw(a) == raw(b) and b.flags.writeable
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


@given(STATES)
@settings(max_examples=120)
def test_what_is_saved_comes_back_type_and_gaps_included(
    tmp_path_factory: pytest.TempPathFactory, state: dict[Any, Any]
) -> None:
    folder = tmp_path_factory.mktemp("snapshots", numbered=True)
    path = save_snapshot(folder, 7, state, VERSIONS)
    seq, back = load_snapshot(path, VERSIONS)
    assert seq == 7
    assert same(state, back)


def test_numbers_of_numpy_come_back_as_plain_ones(tmp_path: Path) -> None:
    path = save_snapshot(tmp_path, 1, {"n": np.int64(5), "x": np.float32(0.5), "b": np.bool_(True)}, {})
    assert load_snapshot(path, {})[1] == {"n": 5, "x": 0.5, "b": True}


@pytest.mark.parametrize("array", [np.array([object()]), np.array([("a", 1)], [("name", object), ("n", int)])])
def test_an_array_of_python_objects_is_refused_when_it_is_saved(array: npt.NDArray[Any], tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="holds Python objects, wanted numbers or bytes"):
        save_snapshot(tmp_path, 1, {"a": array}, {})
    assert list(tmp_path.iterdir()) == []


@given(data=st.data())
@settings(max_examples=150)
def test_a_damaged_file_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("damaged", numbered=True)
    path = save_snapshot(folder, 1234, {"a": np.arange(9), "b": [1, "x"]}, VERSIONS)
    whole = path.read_bytes()
    cut = data.draw(st.booleans())
    at = data.draw(st.integers(0, len(whole) - 1))
    if cut:
        path.write_bytes(whole[:at])
    else:
        flipped = whole[at] ^ 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole[:at] + bytes([flipped]) + whole[at + 1 :])
    with pytest.raises(SnapshotError):
        load_snapshot(path, VERSIONS)
    assert newest_snapshot(folder, 10_000, VERSIONS) is None


def test_other_versions_are_refused_and_named(tmp_path: Path) -> None:
    path = save_snapshot(tmp_path, 1, {}, VERSIONS)
    with pytest.raises(SnapshotError, match=r"is of versions \{'python': '3', 'plugin a': '1.0'\}, wanted \{"):
        load_snapshot(path, {**VERSIONS, "plugin a": "1.1"})


def test_the_newest_that_the_journal_reaches_is_taken(tmp_path: Path) -> None:
    for seq in (5, 50, 500):
        save_snapshot(tmp_path, seq, {"at": seq}, VERSIONS)
    (tmp_path / "000000000400.snap").write_bytes(b"torn")
    (tmp_path / "notes.snap").write_bytes(b"no snapshot")
    assert newest_snapshot(tmp_path, 499, VERSIONS) == (50, {"at": 50})
    assert newest_snapshot(tmp_path, 500, VERSIONS) == (500, {"at": 500})
    assert newest_snapshot(tmp_path, 4, VERSIONS) is None
    assert newest_snapshot(tmp_path / "none", 4, VERSIONS) is None


class NoSums(ToyStrategy):
    sums = False


QUIET = {**TOYS, "one": NoSums, "two": NoSums}


@pytest.mark.parametrize("until_ns", [1_000, 1_337, 1_900, 2_700])
def test_a_restored_kernel_goes_on_as_if_it_had_never_stopped(until_ns: int, tmp_path: Path) -> None:
    whole = start(kernel_in(tmp_path / "whole"), QUIET)
    whole.run_simulated(END_NS)
    whole.close()

    first = start(kernel_in(tmp_path / "first"), QUIET)
    first.run_simulated(until_ns)
    path = first.take_snapshot()
    first.close()
    assert path is not None

    seq, state = load_snapshot(path, {})
    second = kernel_in(tmp_path / "second")
    second.live, second.tape = False, []
    second.cascade.wire(second.cascade.slots)
    attach(second, QUIET)
    second.restore(state)
    second.open_sources(skip=state["sources"])
    second.go_live([])
    assert second.cascade.seq == seq
    second.run_simulated(END_NS)
    second.close()
    assert recorded(tmp_path / "first") + recorded(tmp_path / "second") == recorded(tmp_path / "whole")
    assert second.slots["venue"].ctx.cell("deals").n == whole.slots["venue"].ctx.cell("deals").n  # type: ignore[union-attr]


def test_a_snapshot_that_cannot_be_taken_is_logged_and_the_run_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    kernel = start(kernel_in(tmp_path, log=lines.append), QUIET)
    kernel.slots["one"].ctx.state["odd"] = object()  # type: ignore[union-attr]
    assert kernel.take_snapshot() is None
    assert '"plugin":"snapshot","text":"not taken' in lines[-1]
    kernel.run_simulated(END_NS)
    kernel.close()
    assert kernel.moment.now_ns == END_NS


def test_an_instance_keeps_the_newest_snapshots_and_the_first_of_each_stretch(tmp_path: Path) -> None:
    for seq in (90, 180, 1_010, 1_100, 1_200, 2_005, 2_100, 2_200, 2_300):
        (tmp_path / f"{seq:012}.snap").touch()
    (tmp_path / f"{500:012}.carry").touch()
    thin_snapshots(tmp_path, 1_000)
    assert sorted(int(path.stem) for path in tmp_path.glob("*.snap")) == [90, 1_010, 2_005, 2_100, 2_200, 2_300]
    assert (tmp_path / f"{500:012}.carry").exists()
