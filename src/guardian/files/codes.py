"""The codes of mistakes that any file can have. Public: listed in docs/errors.md, and never change meaning."""

from __future__ import annotations

from typing import Final

FILE_CODES: Final[dict[str, str]] = {
    "file.too-large": "The file is larger than 256 KiB.",
    "file.too-deep": "Mappings and lists are nested more than 32 deep.",
    "file.too-many-nodes": "The file has more than 20,000 keys and values.",
    "file.encoding": "The file is not UTF-8.",
    "file.character": "A character that no text file needs: a control character or half of a surrogate pair.",
    "file.syntax": "The file is not YAML.",
    "file.empty": "The file, or a document in it, says nothing.",
    "file.directive": "YAML directives (lines that start with %) are not allowed.",
    "file.anchor": "Anchors (&name) are not allowed.",
    "file.alias": "Aliases (*name) are not allowed.",
    "file.tag": "Tags (!name) are not allowed.",
    "file.merge-key": "Merge keys (<<) are not allowed.",
    "file.duplicate-key": "A key is there twice.",
    "file.key-not-text": "A key is not text.",
    "file.number-too-long": "A number has more than 64 characters.",
    "file.unknown-key": "The format has no such key here.",
    "file.missing-key": "A key that must be there is not.",
    "file.wrong-type": "A value is of the wrong type.",
    "file.not-allowed": "A value is none of those allowed.",
    "file.out-of-range": "A number, or a length, is too small or too large.",
    "file.malformed": "A text does not have the form it must have.",
    "file.inconsistent": "Values that are fine alone do not go together.",
}
