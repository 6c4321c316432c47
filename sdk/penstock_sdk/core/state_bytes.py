"""A plugin's state as bytes: msgpack, numpy arrays as extension 1, integers beyond 64 bits as extension 2.

Snapshot files of the kernel and `Snapshot` of plugins in processes of their own have the same.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

__all__ = ["StateError", "pack_state", "unpack_state"]

_ARRAY = 1
_INTEGER = 2


class StateError(ValueError):
    """Bytes that hold no state."""


def pack_state(state: Any) -> bytes:
    """Return *state* (what msgpack carries, and numpy arrays) as bytes.

    Raises:
        TypeError: something in it has no such form; names it.
    """
    return msgspec.msgpack.encode(_plain(state))


def unpack_state(data: bytes | memoryview) -> Any:
    """Return what `pack_state` was given; tuples are lists, and numbers of numpy plain ones.

    Raises:
        StateError: it is no such state.
    """
    try:
        return msgspec.msgpack.decode(data, ext_hook=_from_ext, strict=False)
    except msgspec.MsgspecError as error:
        raise StateError(f"state of {len(data)} bytes cannot be read: {error}") from None


def _plain(value: Any) -> Any:
    """Return *value* with arrays and large integers as extensions."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"array of {value.dtype} holds Python objects, wanted numbers or bytes; keep a list")
        head = msgspec.msgpack.encode([_dtype_spec(value.dtype), value.shape])
        return msgspec.msgpack.Ext(_ARRAY, len(head).to_bytes(4, "little") + head + value.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_INTEGER, str(value).encode())
    return value


def _dtype_spec(dtype: np.dtype[Any]) -> Any:
    """Return what `_dtype_of` takes back: a name, [inner, shape] of an inner array, or fields with the gaps between."""
    if dtype.subdtype is not None:
        return [_dtype_spec(dtype.subdtype[0]), list(dtype.subdtype[1])]
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [_dtype_spec(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
    }


def _dtype_of(spec: Any) -> np.dtype[Any]:
    """Return the dtype that `_dtype_spec` described."""
    if isinstance(spec, list):
        found: Any = (_dtype_of(spec[0]), tuple(spec[1]))
    elif isinstance(spec, dict):
        found = {**spec, "formats": [_dtype_of(inner) for inner in spec["formats"]]}
    else:
        found = spec
    wanted: np.dtype[Any] = np.dtype(found)
    return wanted


def _from_ext(code: int, data: memoryview) -> Any:
    if code == _INTEGER:
        return int(bytes(data))
    if code != _ARRAY:
        raise StateError(f"state holds extension {code}, wanted {_ARRAY} or {_INTEGER}")
    size = int.from_bytes(data[:4], "little")
    dtype, shape = msgspec.msgpack.decode(data[4 : 4 + size])
    # Not frombuffer: an array may be empty, or of items without bytes. Not copied: that would leave any bytes in gaps.
    return np.ndarray(shape, _dtype_of(dtype), bytearray(data[4 + size :]))
