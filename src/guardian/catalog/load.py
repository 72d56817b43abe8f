"""Model files: a document to a ModelFile, or every mistake in it where it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from guardian.catalog.model_file import ModelFile
from guardian.files.document import shown
from guardian.files.validate import validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardian.errors import Mistake
    from guardian.files.document import Document

MODEL_CODES: Final[dict[str, str]] = {
    "model.version-name": "A version's name has characters that versions must not have.",
    "model.column-name": "The name of a feature or attribute is empty, too long, or has a comma or control character.",
}
"""The codes of mistakes that only model files have, beside `file.*`. Public."""

VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+:-]{0,63}")
VERSION_HINT: Final = "letters, digits and _ . + : - ; at most 64, and a letter or digit first"
# A comma joins the columns of a segment in names of parts and subjects; the rest would spoil terminals and paths.
_COLUMN: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f,]{1,128}")


def load_model(document: Document) -> ModelFile | tuple[Mistake, ...]:
    """Return the model file that `document` holds, or its mistakes in file order.

    How values go together is told once each of them is fine alone.
    """
    found = validate(document, ModelFile)
    if not isinstance(found, ModelFile):
        return found
    mistakes = tuple(_name_mistakes(document, found))
    return mistakes or found


def _name_mistakes(document: Document, model: ModelFile) -> Iterator[Mistake]:
    champion = model.spec.champion
    if champion is not None and not VERSION.fullmatch(champion):
        what = f"{shown(champion)} is no name of a version"
        yield document.mistake("model.version-name", ("spec", "champion"), what, VERSION_HINT)
    hint = "1 to 128 characters, no comma, no control character"
    for name in model.spec.features:
        if not _COLUMN.fullmatch(name):
            what = f"{shown(name)} cannot name a feature"
            yield document.mistake("model.column-name", ("spec", "features", name), what, hint, key=True)
    for i, name in enumerate(model.spec.protected):
        if not _COLUMN.fullmatch(name):
            what = f"{shown(name)} cannot name an attribute"
            yield document.mistake("model.column-name", ("spec", "protected", i), what, hint)
