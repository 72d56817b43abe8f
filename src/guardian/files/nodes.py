"""YAML events folded into nodes, within bounds: a bomb is refused while it is read, before anything is built of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from guardian.errors import Mistake
from guardian.files.document import Place, shown

DEPTH_MAX: Final = 32  # The deepest key of any of guardian's formats lies at 7.
NODES_MAX: Final = 20_000  # Keys, values, mappings and lists of one file.
MISTAKES_MAX: Final = 200  # Of one file; the rest comes up once these are mended.

START: Final = Place(1, 1)


@dataclass(slots=True)
class Node:
    """One node.

    Attributes:
        kind: A mapping's `items` are its keys and values in turn; `nothing` stands for a refused alias.
        text: A scalar's text.
        plain: Whether a scalar is unquoted, so that it may mean a number, a boolean or null.
    """

    kind: Literal["scalar", "mapping", "list", "nothing"]
    place: Place
    text: str = ""
    plain: bool = False
    items: list[Node] = field(default_factory=list)


class StopReadingError(Exception):
    """Nothing further can be read of this file; the mistake that says why is noted already."""


@dataclass(slots=True)
class Notes:
    """The mistakes of one file as they are found."""

    file: str
    found: list[Mistake] = field(default_factory=list)

    def note(self, code: str, place: Place, what: str, hint: str, path: str = "") -> None:
        """Add a mistake. Raises StopReadingError when there are too many."""
        self.found.append(Mistake(code, self.file, place.line, place.column, what, hint, path))
        if len(self.found) >= MISTAKES_MAX:
            raise StopReadingError

    def stop(self, code: str, place: Place, what: str, hint: str) -> StopReadingError:
        """Add a mistake after which nothing can be read, and return what to raise."""
        self.note(code, place, what, hint)
        return StopReadingError()


def compose(text: str, notes: Notes, roots: list[Node]) -> None:
    """Append the root node of every whole document in `text` to `roots`.

    Raises StopReadingError where it must end early; the document that it was in is left out.
    """
    composer = _Composer(notes, roots)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            composer.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = _one_line(" ".join(filter(None, (error.context, error.problem))))
        place = START if mark is None else _place(mark)
        hint = "look at the indentation, colons and quotes here and above"
        raise notes.stop("file.syntax", place, f"not YAML: {what}", hint) from error
    except YAMLError as error:
        what = f"not YAML: {_one_line(str(error))}"
        raise notes.stop("file.syntax", START, what, "mend the text") from error


@dataclass(slots=True)
class _Composer:
    """Folds events; the mappings and lists that are open lie on the stack."""

    notes: Notes
    roots: list[Node]
    stack: list[Node] = field(default_factory=list)
    nodes: int = 0
    started: Place = START
    root: Node | None = None

    def take(self, event: Any) -> None:
        match event:
            case ScalarEvent():
                self.check(event)
                self.add(Node("scalar", _place(event.start_mark), event.value, plain=not event.style))
            case MappingStartEvent():
                self.open("mapping", event)
            case SequenceStartEvent():
                self.open("list", event)
            case MappingEndEvent() | SequenceEndEvent():
                self.stack.pop()
            case AliasEvent():
                self.refuse("alias", f"*{event.anchor}", event)
                self.add(Node("nothing", _place(event.start_mark)))
            case DocumentStartEvent():
                self.start(event)
            case DocumentEndEvent():
                self.end()

    def start(self, event: Any) -> None:
        self.started, self.root = _place(event.start_mark), None
        if event.version or event.tags:
            what = "directives are not allowed"
            self.notes.note("file.directive", self.started, what, "remove the lines that start with %")

    def end(self) -> None:
        root = self.root
        if root is None or (root.kind == "scalar" and root.plain and not root.text):
            what = "this document says nothing"
            self.notes.note("file.empty", self.started, what, "remove the --- or write a document")
            return
        self.roots.append(root)

    def open(self, kind: Literal["mapping", "list"], event: Any) -> None:
        self.check(event)
        node = Node(kind, _place(event.start_mark))
        if len(self.stack) >= DEPTH_MAX:
            what = f"nested more than {DEPTH_MAX} deep"
            raise self.notes.stop("file.too-deep", node.place, what, "no format of guardian goes so deep")
        self.add(node)
        self.stack.append(node)

    def add(self, node: Node) -> None:
        if self.stack:
            self.stack[-1].items.append(node)
        else:
            self.root = node

    def check(self, event: Any) -> None:
        """Count a node, and refuse its anchor and its tag."""
        self.nodes += 1
        if self.nodes > NODES_MAX:
            what, hint = f"more than {NODES_MAX:,} keys and values", "split the file into several"
            raise self.notes.stop("file.too-many-nodes", _place(event.start_mark), what, hint)
        if event.anchor is not None:
            self.refuse("anchor", f"&{event.anchor}", event)
        if event.tag is not None:
            what, hint = "tags are not allowed", "remove it; quotes around a value make it text"
            self.notes.note("file.tag", _place(event.start_mark), what, hint)

    def refuse(self, kind: str, written: str, event: Any) -> None:
        what = f"the {kind} {shown(written)} is not allowed"
        self.notes.note(f"file.{kind}", _place(event.start_mark), what, "write the value out where it is needed")


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
