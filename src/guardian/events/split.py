"""Raw input to single events: lines of JSON, where a line may be a CloudEvents batch (`application/cloudevents-batch+json`).

Never: judges an event. What cannot be split stays one event, for decoding to make a dead letter of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_batch: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def split(lines: Iterable[bytes]) -> Iterator[bytes]:
    r"""Return each event's bytes, in order; blank lines are nothing.

    >>> list(split([b'{"id":"a"}\n', b'\n', b'[{"id":"b"}, 5]\n', b'[{"id":']))
    [b'{"id":"a"}', b'{"id":"b"}', b'5', b'[{"id":']
    """
    for line in lines:
        text = line.strip()
        if text.startswith(b"["):
            yield from _members(text)
        elif text:
            yield text


def _members(text: bytes) -> list[bytes]:
    try:
        return [bytes(member) for member in _batch(text)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [text]
