"""Strict YAML 1.2: bytes to plain values that remember their places, with every mistake at once.

Refused: anchors, aliases, tags, merge keys, duplicate keys, keys that are no text, directives, and anything beyond the bounds.
Takes bytes. Never: opens a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from guardian.files.document import Document, Path, Place, path_text, shown
from guardian.files.nodes import START, Node, Notes, StopReadingError, compose
from guardian.files.scalars import DIGITS_MAX, plain_scalar

if TYPE_CHECKING:
    from guardian.errors import Mistake

BYTES_MAX: Final = 256 * 1024  # A policy of 500 rules takes about 150 KiB.

# What YAML calls printable, less the byte order mark, which has no business inside a file.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Reading:
    """The documents of a file that could be read, and everything wrong with it as YAML."""

    documents: tuple[Document, ...]
    mistakes: tuple[Mistake, ...]


def read(data: bytes, file: str) -> Reading:
    r"""Read the documents of a file, separated by `---`; `file` is its name in mistakes.

    >>> read(b"a: no", "x.yaml").documents[0].value
    {'a': 'no'}
    >>> print(*read(b"a: 1\na: 2", "x.yaml").mistakes)
    x.yaml:2:1: error: file.duplicate-key: "a" is there twice (hint: it was first on line 1; keep one)
    """
    notes, roots = Notes(file), list[Node]()
    documents: list[Document] = []
    try:
        try:
            compose(_decode(data, notes), notes, roots)
        finally:  # Documents before the one that cannot be read are as good as any.
            documents.extend(_Builder(notes).document(root) for root in roots)
        if not roots and not notes.found:
            what = "there is no document in this file"
            notes.note("file.empty", START, what, "write one, or remove the file")
    except StopReadingError:
        pass
    return Reading(tuple(documents), tuple(sorted(notes.found, key=lambda m: (m.line, m.column))))


def _decode(data: bytes, notes: Notes) -> str:
    if len(data) > BYTES_MAX:
        what = f"the file has more than {BYTES_MAX // 1024} KiB"
        raise notes.stop("file.too-large", START, what, "split it into several files")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        raise notes.stop("file.encoding", _end_of(before), "not UTF-8", "save the file as UTF-8") from error
    bad = _FORBIDDEN.search(text)
    if bad:
        what = f"the character {shown(bad[0])} is not allowed"
        raise notes.stop("file.character", _end_of(text[: bad.start()]), what, "remove it")
    return text


def _end_of(text: str) -> Place:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return Place(len(lines), len(lines[-1]) + 1)


@dataclass(slots=True)
class _Builder:
    """Turns the nodes of one document into plain values, noting places and mistakes."""

    notes: Notes
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    whole: bool = True

    def document(self, root: Node) -> Document:
        value = self.build(root, ())
        return Document(self.notes.file, value, self.keys, self.values, self.whole)

    def build(self, node: Node, path: Path) -> Any:
        self.values[path] = node.place
        match node.kind:
            case "scalar":
                return self.scalar(node, path)
            case "list":
                return [self.build(item, (*path, i)) for i, item in enumerate(node.items)]
            case "mapping":
                return self.mapping(node, path)
        self.whole = False
        return None

    def mapping(self, node: Node, path: Path) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in zip(node.items[::2], node.items[1::2], strict=True):
            key = self.key(key_node, path)
            if key is None:
                self.whole = False
            elif key in out:
                what = f"{shown(key)} is there twice"
                hint = f"it was first on line {self.keys[(*path, key)].line}; keep one"
                self.notes.note("file.duplicate-key", key_node.place, what, hint, path_text((*path, key)))
            else:
                self.keys[(*path, key)] = key_node.place
                if value_node.kind == "scalar" and value_node.plain and not value_node.text:
                    value_node.place = key_node.place  # The parser puts a value that is left out on the next line.
                out[key] = self.build(value_node, (*path, key))
        return out

    def key(self, node: Node, path: Path) -> str | None:
        """Return a mapping's key, or None where it is refused."""
        if node.kind == "scalar" and node.plain and node.text == "<<":
            self.notes.note("file.merge-key", node.place, "merge keys are not allowed", "write the keys out")
            return None
        key = self.scalar(node, path) if node.kind == "scalar" else None
        if not isinstance(key, str):
            hint = f"write {shown(node.text)}, in quotes" if node.text else "write a text"
            self.notes.note("file.key-not-text", node.place, "this key is not text", hint, path_text(path))
            return None
        return key

    def scalar(self, node: Node, path: Path) -> str | int | float | bool | None:
        if not node.plain:
            return self.quoted(node, path)
        try:
            return plain_scalar(node.text)
        except ValueError:
            what = f"a number of more than {DIGITS_MAX} characters"
            hint = "put quotes around it if it is text"
            self.notes.note("file.number-too-long", node.place, what, hint, path_text(path))
            self.whole = False
            return None

    def quoted(self, node: Node, path: Path) -> str:
        """Return quoted text: its escapes can write characters that the file itself may not hold."""
        bad = _FORBIDDEN.search(node.text)
        if bad:
            what = f"the escaped character {shown(bad[0])} is not allowed"
            self.notes.note("file.character", node.place, what, "remove it", path_text(path))
        return _FORBIDDEN.sub("", node.text)
