"""The words of the CloudEvents 1.0 envelope as guardian reads and writes it, and its bounds."""

from __future__ import annotations

from typing import Final

SPECVERSION: Final = "1.0"
PREDICTION_TYPE: Final = "io.guardian.prediction.v1"
LABEL_TYPE: Final = "io.guardian.label.v1"

EVENT_BYTES_MAX: Final = 1 << 20  # A larger event becomes a dead letter undecoded: one event cannot exhaust memory.
RECORD_BYTES_MAX: Final = 32 << 20  # Of a record of a log that holds several events.
RECORD_EVENTS_MAX: Final = (1 << 20) - 1
EVENTS_FREE: Final = 1_000  # Rows that an Arrow table may have whatever its size; beyond, rows that say nothing would cost much.
ROW_BYTES_MIN: Final = 4  # Of each further row: an id's end alone takes as many.
DEPTH_MAX: Final = 600  # Deeper nesting is refused by rule, so that no outcome depends on how much stack a process has left.
ID_CHARS_MAX: Final = 512
VERSION_CHARS_MAX: Final = 128
TIME_MS_MAX: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z; the least is the epoch.
