"""The exporting process of a run: follows its journal for spans, reads its cells for metrics, serves ``/metrics``.

It may fall behind, stop and start again: the journal keeps what it has not sent, and its place is in ``spans.place``.
One that was killed goes on a little before where it ended: a file gets no span twice, a collector the same ids again.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from os import SEEK_END
from pathlib import Path

import msgspec

from penstock_kernel.lake.tail import Place, Tail
from penstock_kernel.own_records import learn_own_records
from penstock_kernel.runs import RunPaths, write_atomically
from penstock_kernel.telemetry.runlog import RunLog
from penstock_kernel.telemetry.settings import TelemetryTable, wants_exporter
from penstock_kernel.telemetry.spans import Span, SpanMaker

__all__ = ["Exporter", "SpanFollower", "settings_of", "wants_exporter"]

PLACE_NAME = "spans.place"
_SAVE_S = 2.0
Send = Callable[[list[Span]], bool]
"""Takes spans; returns False when they must be offered again."""


class _Place(msgspec.Struct):
    segment: int
    offset: int
    state: bytes


def settings_of(run_dir: Path) -> TelemetryTable:
    """Return the ``[telemetry]`` table of the deployment that a run keeps; the defaults where there is none.

    Raises:
        ValueError: the file is no deployment.
    """
    try:
        tree = tomllib.loads(RunPaths(run_dir).deployment.read_text("utf-8"))
    except FileNotFoundError:
        return TelemetryTable()
    return msgspec.convert(tree.get("telemetry", {}), TelemetryTable)


class SpanFollower:
    """Makes and sends the spans of a journal while it grows, from where the last one left off.

    Args:
        send: what is not taken is offered again at the next poll, and nothing is read meanwhile.
    """

    def __init__(self, run_dir: Path, share: float, send: Send) -> None:
        self._dir, self._send = run_dir, send
        self._place_path = run_dir / PLACE_NAME
        place = self._known_place()
        instance = run_dir.resolve().name
        self._tail = Tail(RunPaths(run_dir).journal, Place(place.segment, place.offset) if place else Place())
        self._maker = SpanMaker(instance, share, place.state if place else None)
        self._waiting: list[Span] = []
        self._saved, self._saved_s = self._tail.place, time.monotonic()
        self._learnt = False

    def _known_place(self) -> _Place | None:
        """Return where the last follower stopped; None when it cannot be read: then from the journal's beginning."""
        try:
            return msgspec.msgpack.decode(self._place_path.read_bytes(), type=_Place)
        except (OSError, msgspec.MsgspecError):
            return None

    def poll(self, batches_max: int = 1_000) -> bool:
        """Send what has been written since; return whether there was anything to do.

        Raises:
            JournalCorrupt: the journal is not what was written.
        """
        if not self._flush():
            return False
        before = self._tail.place
        for _, batch in zip(range(batches_max), self._tail.poll(), strict=False):
            if not self._learnt:  # what plugins declared stands beside the journal from its first batch on
                learn_own_records(self._dir)
                self._learnt = True
            self._waiting += self._maker.add(batch)
            if len(self._waiting) >= 512 and not self._flush():
                break
        return self._flush() and self._tail.place != before

    def finish(self) -> None:
        """Send what is still open, for a run that is over."""
        self._waiting += self._maker.finish()
        self._flush(last=True)

    def close(self) -> None:
        """Note how far it came."""
        self._flush(last=True)

    def _flush(self, last: bool = False) -> bool:
        if self._waiting and not self._send(self._waiting):
            return False
        self._waiting = []
        now_s = time.monotonic()
        if self._tail.place != self._saved and (last or now_s - self._saved_s >= _SAVE_S):
            self._saved, self._saved_s = self._tail.place, now_s
            self._save()
        return True

    def _save(self) -> None:
        place = _Place(*self._tail.place, self._maker.state())
        with suppress(OSError):  # sent twice is better than not at all: the ids are the same
            write_atomically(self._place_path, msgspec.msgpack.encode(place))


class Exporter:
    """All that is exported of one run, by its settings. `poll` it now and then, `close` it at the end."""

    def __init__(self, run_dir: Path, settings: TelemetryTable) -> None:
        self._leave = ExitStack()
        self._spans: SpanFollower | None = None
        if settings.spans == "file":
            log = RunLog(run_dir, settings.log_file_mb << 20, settings.log_files, stem="spans")
            self._leave.callback(log.close)
            self._spans = SpanFollower(run_dir, settings.orders_sampled, _to_file(log, _ids_at_the_end(run_dir)))
        if settings.otlp_endpoint is not None:
            self._begin_otlp(run_dir, settings, settings.otlp_endpoint)

    def _begin_otlp(self, run_dir: Path, settings: TelemetryTable, endpoint: str) -> None:
        from penstock_kernel.telemetry import otel

        resource = otel.resource_of(run_dir)
        source = otel.CellsSource(run_dir)
        reader = otel.otlp_metric_reader(source, endpoint, settings.otlp_every_s)
        self._leave.callback(source.close)
        self._leave.callback(otel.meter_provider(source, resource, [reader]).shutdown)
        if settings.spans == "otlp":
            exporter = otel.otlp_span_exporter(endpoint)
            self._leave.callback(exporter.shutdown)
            send: Send = lambda spans: otel.export_spans(exporter, resource, spans)  # noqa: E731 - a name for its type
            self._spans = SpanFollower(run_dir, settings.orders_sampled, send)

    def poll(self) -> bool:
        """Send the spans of what has been written since; return whether there was anything to do."""
        return self._spans is not None and self._spans.poll()

    def close(self, *, over: bool = False) -> None:
        """Send the last, let go; *over* when the run has ended, so that what is open is sent as it stands."""
        if self._spans is not None:
            self._spans.finish() if over else self._spans.close()
        self._leave.close()


class _Written(msgspec.Struct):
    """What matters of a span in the file."""

    span_id: str


def _ids_at_the_end(run_dir: Path, max_bytes: int = 16 << 20) -> set[str]:
    """Return the ids of the last spans in a run's files."""
    found: set[str] = set()
    decoder = msgspec.json.Decoder(_Written)
    for name in ("spans.jsonl", "spans.1.jsonl"):
        with suppress(FileNotFoundError), (run_dir / name).open("rb") as file:
            size = file.seek(0, SEEK_END)
            file.seek(max(0, size - max_bytes))
            max_bytes -= min(size, max_bytes)
            for line in file:
                with suppress(msgspec.MsgspecError):  # torn, or begun before what is read here
                    found.add(decoder.decode(line).span_id)
    return found


def _to_file(log: RunLog, known: set[str]) -> Send:
    """Return what appends spans to a file; of those in *known* it writes none."""

    def send(spans: list[Span]) -> bool:
        written: list[str] = []
        try:
            for span in spans:
                if span.span_id not in known:
                    log.write(msgspec.json.encode(span).decode() + "\n")
                    written.append(span.span_id)
        except OSError:
            known.update(written)  # they are offered again, with the others
            return False
        known.difference_update([span.span_id for span in spans])  # a span comes once: what is known stays small
        return True

    return send
