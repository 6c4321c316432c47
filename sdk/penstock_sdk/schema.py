"""One declaration of a record, and the projections that follow from it.

A *packed* record is a msgspec Struct of fixed-width fields. From the annotations of its fields come

* the Struct itself: one event in Python;
* ``layout.dtype``: many events, as a numpy structured array;
* ``layout.pack`` / ``layout.unpack``: the bytes of one record on the wire and in the journal;
* localparams of a SystemVerilog package (`penstock_sdk.wire.systemverilog`).

All four agree byte for byte. Bytes are little-endian; every field lies at a multiple of its own width, as a C compiler
would place it, so that none straddles a 64-bit beat; the size is a multiple of 8; gaps are zeros. Fields are only ever
appended, and a longer record is a new version.

A *control* record holds what does not fit a fixed width (names, texts, maps). It is a msgspec Struct that travels as
msgpack and has no RTL projection.

    >>> @record(id=40_000, topic="example.tick")
    ... class Tick(Record):
    ...     listing_id: U32
    ...     price_ticks: I64
    >>> layout_of(Tick).size
    16
    >>> layout_of(Tick).unpack(layout_of(Tick).pack(Tick(7, -250)))
    Tick(listing_id=7, price_ticks=-250)
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "ABSENT",
    "F64",
    "FRAME_RECORDS_MAX",
    "I8",
    "I16",
    "I32",
    "I64",
    "U8",
    "U16",
    "U32",
    "U64",
    "USER_IDS",
    "Control",
    "Event",
    "FieldLayout",
    "Frame",
    "Layout",
    "Record",
    "SchemaError",
    "Wire",
    "control",
    "layout_of",
    "layouts",
    "record",
    "schema_by_id",
]

ABSENT = -(2**63)
"""A value that is not there: the smallest int64, in every price, quantity and time field."""

FRAME_RECORDS_MAX = 4096
"""The most records one frame may hold."""

USER_IDS = range(32_768, 65_535)
"""Schema ids for records that a plugin declares for itself; lower ones are Penstock's, 65,535 is the journal's."""


class SchemaError(ValueError):
    """A declaration, or a value that does not fit its field."""


class Wire:
    """How a field travels: its `struct` code, and the enum that names its values, if any."""

    __slots__ = ("code", "enum")

    def __init__(self, code: str, enum: type[IntEnum] | None = None) -> None:
        self.code = code
        self.enum = enum


U8 = Annotated[int, Wire("B")]
U16 = Annotated[int, Wire("H")]
U32 = Annotated[int, Wire("I")]
U64 = Annotated[int, Wire("Q")]
I8 = Annotated[int, Wire("b")]
I16 = Annotated[int, Wire("h")]
I32 = Annotated[int, Wire("i")]
I64 = Annotated[int, Wire("q")]
F64 = Annotated[float, Wire("d")]

_DTYPES = {"B": "u1", "H": "<u2", "I": "<u4", "Q": "<u8", "b": "i1", "h": "<i2", "i": "<i4", "q": "<i8", "d": "<f8"}


class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of every packed record. Immutable; compares by value."""

    layout: ClassVar[Layout]


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every control record. Immutable; travels as msgpack, fields at their defaults left out."""

    layout: ClassVar[Layout]

    source_ns: int = ABSENT
    """When it happened, by whoever said it; ns UTC."""
    recv_ns: int = ABSENT
    """When it was received."""
    clock: int = 0
    """`ClockKind` of the clock that stamped recv_ns."""


class FieldLayout(msgspec.Struct, frozen=True):
    """Where one field lies in its record."""

    name: str
    code: str
    offset: int
    """Bytes from the record's beginning."""
    width: int
    """Bytes."""
    enum: type[IntEnum] | None = None

    @property
    def signed(self) -> bool:
        """True for two's complement integers."""
        return self.code in "bhiq"

    def value_range(self) -> tuple[int, int]:
        """Return the smallest and the largest integer that fits (not for floats)."""
        bits = 8 * self.width
        return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.signed else (0, 2**bits - 1)


class Layout:
    """What is known of one schema: id, version, topic, names of its handlers and, when packed, its bytes."""

    def __init__(
        self,
        cls: type[Any],
        schema_id: int,
        version: int,
        topic: str,
        plural: str | None,
        diagnostic: bool,
    ) -> None:
        self.cls = cls
        self.name: str = cls.__name__
        self.id = schema_id
        self.version = version
        self.topic = topic
        self.snake = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        self.plural = plural or self.snake + "s"
        self.diagnostic = diagnostic
        """Diagnostic records are journaled, but are no part of the run's digest."""
        self.packed = issubclass(cls, Record)
        self.fields: tuple[FieldLayout, ...] = _lay_out(cls) if self.packed else ()
        self.codes, self.size = _codes(self.fields)
        self.gaps = _gaps(self.fields, self.size)
        """(start, end) of bytes that belong to no field; always zero on the wire."""
        _check_header_range(self)
        self._struct = struct.Struct("<" + self.codes)
        self.dtype = _dtype(self)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(cls).decode

    @property
    def hash(self) -> int:
        """Return 32 bits that change when id, version, or any field's name, place or type changes."""
        parts = [f"{self.id}:{self.version}:{self.size}"] + [f"{f.name}:{f.code}:{f.offset}" for f in self.fields]
        return int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest()[:4], "little")

    def pack(self, event: Any) -> bytes:
        """Return the body bytes of one record.

        Raises:
            SchemaError: a value does not fit its field; names record, field, value and range.
        """
        if not self.packed:
            return self._encode(event)
        try:
            return self._struct.pack(*msgspec.structs.astuple(event))
        except struct.error:
            raise self.misfit(event) from None

    def unpack(self, body: bytes | memoryview) -> Any:
        """Return the record that *body* holds.

        Raises:
            SchemaError: the body of a packed record is too short.
            msgspec.DecodeError: the body of a control record is not what its fields say.
        """
        if not self.packed:
            return self._decode(body)
        try:
            return self.cls(*self._struct.unpack_from(body))
        except struct.error:
            raise SchemaError(f"{self.name} met a body of {len(body)} bytes, wanted {self.size}") from None

    def unpack_many(self, body: bytes | memoryview) -> Iterator[Any]:
        """Yield the records of a body that holds a whole number of them, without gaps between."""
        cls = self.cls
        if len(body) % self.size:
            raise SchemaError(f"{self.name} met a body of {len(body)} bytes, wanted a multiple of {self.size}")
        for values in self._struct.iter_unpack(body):
            yield cls(*values)

    def misfit(self, event: Any) -> SchemaError:
        """Return the error that names the first field of *event* whose value does not fit."""
        for field, value in zip(self.fields, msgspec.structs.astuple(event), strict=True):
            try:
                struct.pack("<" + field.code, value)
            except struct.error:
                wanted = "a float" if field.code == "d" else "an int in {} … {}".format(*field.value_range())
                return SchemaError(f"{self.name}.{field.name} met {value!r}, wanted {wanted}")
        return SchemaError(f"{self.name} met values that do not fit its layout: {event!r}")

    def describe(self, event: Any) -> dict[str, Any]:
        """Return the fields of *event* for people: enums by name, what is absent as None."""
        values = msgspec.structs.asdict(event)
        for field in self.fields:
            value = values[field.name]
            if field.enum is not None and value in field.enum._value2member_map_:
                values[field.name] = field.enum(value).name
            elif value == ABSENT and field.code == "q":
                values[field.name] = None
        return values


def _lay_out(cls: type[Any]) -> tuple[FieldLayout, ...]:
    """Return the fields of *cls* in declared order, each at a multiple of its width."""
    fields: list[FieldLayout] = []
    offset = 0
    hints = get_type_hints(cls, include_extras=True)
    for name in cls.__struct_fields__:
        hint = hints[name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        wire = next((mark for mark in marks if isinstance(mark, Wire)), None)
        if wire is None:
            raise SchemaError(f"{cls.__name__}.{name} met {hint!r}, wanted a fixed-width type such as I64 or U32")
        width = struct.calcsize("<" + wire.code)
        offset = -(-offset // width) * width
        fields.append(FieldLayout(name, wire.code, offset, width, wire.enum))
        offset += width
    if not fields:
        raise SchemaError(f"{cls.__name__} has no fields, wanted at least one")
    return tuple(fields)


def _codes(fields: tuple[FieldLayout, ...]) -> tuple[str, int]:
    """Return the `struct` codes of *fields* with their gaps, and the size in bytes."""
    codes, offset = "", 0
    for field in fields:
        codes += "x" * (field.offset - offset) + field.code
        offset = field.offset + field.width
    size = -(-offset // 8) * 8
    return codes + "x" * (size - offset), size


def _gaps(fields: tuple[FieldLayout, ...], size: int) -> tuple[tuple[int, int], ...]:
    ends = [0, *(field.offset + field.width for field in fields)]
    starts = [*(field.offset for field in fields), size]
    return tuple((end, start) for end, start in zip(ends, starts, strict=True) if end < start)


def _check_header_range(layout: Layout) -> None:
    """Raise where id, version or size would not fit the frame's header."""
    for what, value, largest in (
        ("id", layout.id, USER_IDS.stop - 1),
        ("version", layout.version, 255),
        ("size", layout.size or 1, 65_535),
    ):
        if not 1 <= value <= largest:
            raise SchemaError(f"{layout.name} met {what} {value}, wanted 1 … {largest}")


def _dtype(layout: Layout) -> np.dtype[np.void]:
    return np.dtype(
        {
            "names": [f.name for f in layout.fields],
            "formats": [_DTYPES[f.code] for f in layout.fields],
            "offsets": [f.offset for f in layout.fields],
            "itemsize": layout.size,
        }
    )


_BY_ID: dict[int, Layout] = {}
T = TypeVar("T")


def _register(cls: type[T], layout: Layout) -> type[T]:
    own = cls.__module__.startswith("penstock_sdk.events.")
    wanted = range(1, USER_IDS.start) if own else USER_IDS
    if layout.id not in wanted:
        raise SchemaError(f"{cls.__name__} met schema id {layout.id}, wanted one in {wanted.start} … {wanted.stop - 1}")
    met = _BY_ID.get(layout.id)
    # The same class again is a module that was reloaded.
    if met is not None and (met.cls.__module__, met.cls.__qualname__) != (cls.__module__, cls.__qualname__):
        raise SchemaError(
            f"schema id {layout.id} of {cls.__module__}.{cls.__name__} is taken by {met.cls.__module__}.{met.name}; "
            f"take a free one in {USER_IDS.start} … {USER_IDS.stop - 1}"
        )
    _BY_ID[layout.id] = layout
    cls.layout = layout  # type: ignore[attr-defined]
    return cls


def record(
    *,
    id: int,
    topic: str,
    version: int = 1,
    plural: str | None = None,
    diagnostic: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Declare a packed record: lay its fields out and register it under *id*.

    A record ``BookLevel`` is heard by ``on_book_level(level)`` one by one, and by ``on_book_levels(frame)`` in batches.

    Raises:
        SchemaError: the id is taken, or a field has no fixed width.
    """

    def declare(cls: type[T]) -> type[T]:
        return _register(cls, Layout(cls, id, version, topic, plural, diagnostic))

    return declare


control = record
"""Declare a control record; the same decorator, the base class decides."""


def layout_of(cls: type[Any]) -> Layout:
    """Return the layout of a declared record type."""
    try:
        return cls.layout  # type: ignore[no-any-return]
    except AttributeError:
        raise SchemaError(f"{cls!r} is no declared record; decorate it with @record(id=…, topic=…)") from None


def schema_by_id(schema_id: int) -> Layout:
    """Return the layout registered under *schema_id*."""
    try:
        return _BY_ID[schema_id]
    except KeyError:
        raise SchemaError(f"schema id {schema_id} is not registered; import the plugin that declares it") from None


def layouts() -> tuple[Layout, ...]:
    """Return every registered layout, by id."""
    return tuple(_BY_ID[i] for i in sorted(_BY_ID))


class Frame:
    """A batch of records of one type: a read-only view, valid until the handler that received it returns.

    Keep what you need with ``frame.array.copy()``. A frame that a plugin returns belongs to the kernel from then on.
    """

    __slots__ = ("array", "kept_at", "layout")

    def __init__(self, cls: type[Record], array: npt.NDArray[np.void]) -> None:
        layout = layout_of(cls)
        if array.dtype != layout.dtype or array.ndim != 1:
            raise SchemaError(f"frame of {layout.name} met an array of {array.dtype}, wanted {layout.dtype}, one axis")
        if not 1 <= len(array) <= FRAME_RECORDS_MAX:
            raise SchemaError(
                f"frame of {layout.name} met {len(array)} records, wanted 1 … {FRAME_RECORDS_MAX}; split it"
            )
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        if layout.gaps:
            array = _with_zero_gaps(layout, array)
        array.flags.writeable = False
        self.layout = layout
        self.array = array
        self.kept_at: tuple[str, int] | None = None
        """(file, offset) when the same records stand in a capture file; then a journal may keep a reference to them."""

    @classmethod
    def of(cls, records: list[Any]) -> Frame:
        """Return a frame of these records, all of one type.

        Raises:
            SchemaError: none, too many, or of several types; or a value does not fit its field.
        """
        kinds = sorted({type(record).__name__ for record in records})
        if len(kinds) != 1:
            raise SchemaError(f"frame met records of {', '.join(kinds) or 'no type'}, wanted one or more of one type")
        layout = layout_of(type(records[0]))
        body = bytearray().join(map(layout.pack, records))
        return cls(layout.cls, np.frombuffer(body, layout.dtype))

    @classmethod
    def from_body(cls, layout: Layout, body: bytes | memoryview, stride: int = 0) -> Frame:
        """Return a frame over *body*; a *stride* longer than ours skips fields that were appended later.

        Raises:
            SchemaError: the stride is shorter than ours, or the body is not 1 … 4,096 strides long.
        """
        stride = stride or layout.size
        if stride < layout.size:
            raise SchemaError(
                f"{layout.name} met a stride of {stride} bytes, wanted {layout.size} or more; sender is older"
            )
        if not body or len(body) % stride:
            raise SchemaError(f"frame of {layout.name} met a body of {len(body)} bytes, wanted a multiple of {stride}")
        if stride == layout.size:
            return cls(layout.cls, np.frombuffer(body, layout.dtype))
        whole = np.frombuffer(body, np.uint8).reshape(-1, stride)[:, : layout.size]
        return cls(layout.cls, np.ascontiguousarray(whole).view(layout.dtype).reshape(-1))

    def __len__(self) -> int:
        return len(self.array)

    def records(self) -> Iterator[Any]:
        """Yield the records one by one, as Structs."""
        return self.layout.unpack_many(self.array.tobytes())

    def __repr__(self) -> str:
        return f"Frame({len(self.array)} {self.layout.plural})"


def _with_zero_gaps(layout: Layout, array: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return *array*, or a copy of it with zeros between the fields: np.empty leaves there what the memory held."""
    octets = array.view(np.uint8).reshape(-1, layout.size)
    if not any(octets[:, start:end].any() for start, end in layout.gaps):
        return array
    octets = octets.copy()
    for start, end in layout.gaps:
        octets[:, start:end] = 0
    return octets.view(layout.dtype).reshape(-1)


Event = Record | Control | Frame
"""What a handler returns, or a source gives: one record, or a frame of them."""
