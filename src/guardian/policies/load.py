"""Policy and model files: from bytes to the set that is watched and judged, or every mistake of every file.

Takes bytes by name. Never: opens a file. A set with one mistake does not count; whoever holds an older set keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guardian.canonical import digest_of
from guardian.catalog.load import load_model
from guardian.catalog.model_file import ModelFile
from guardian.errors import InvalidFileError
from guardian.files.document import choice_hint, closest, shown
from guardian.files.strict_yaml import read
from guardian.files.validate import validate
from guardian.metrics.base import Subject
from guardian.metrics.registry import REGISTRY
from guardian.policies.checks import check_draft, columns_of
from guardian.policies.draft import draft_of
from guardian.policies.model import Except, PolicyFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardian.errors import Mistake
    from guardian.files.document import Document, Path
    from guardian.policies.draft import Draft
    from guardian.policies.model import Rule

SUFFIXES: Final = (".yaml", ".yml")  # Of the files that people write.
CASES: Final = tuple(f".cases{suffix}" for suffix in SUFFIXES)  # Tests of policies lie beside them and are read by the tester.
KINDS: Final = ("Model", "Policy")

F = TypeVar("F", ModelFile, PolicyFile)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Valid files, together.

    Attributes:
        models: Model files by name.
        policies: Policy files by name.
        model_digests: Digest of each model file's meaning, by name.
        policy_digests: Digest of each policy file's meaning, by name.
        documents: Where each file's parts stand, by kind and name; for advice.
        warnings: What the check found that does not keep the set from counting.
    """

    models: Mapping[str, ModelFile]
    policies: Mapping[str, PolicyFile]
    model_digests: Mapping[str, str]
    policy_digests: Mapping[str, str]
    documents: Mapping[tuple[str, str], Document]
    warnings: tuple[Mistake, ...] = ()

    def models_of(self, policy: PolicyFile) -> tuple[ModelFile, ...]:
        """Return the known models that `policy` matches, in its order."""
        return tuple(self.models[name] for name in policy.spec.match.models if name in self.models)


def load_set(files: Mapping[str, bytes]) -> PolicySet:
    """Return the set that `files` (bytes by name) make; `*.cases.yaml` are skipped.

    Raises InvalidFileError with every mistake, and every warning, of every file: by file, line and column.
    """
    loader = _Loader()
    for name in sorted(files):
        if not name.endswith(CASES):
            loader.take(files[name], name)
    return loader.finish()


def subjects_of(rule: Rule, model: ModelFile, classes: tuple[str, ...] = ()) -> tuple[Subject, ...]:
    """Return what `rule` measures of `model`, in a fixed order.

    Rules of columns: `all` (also when nothing is said) is the features, then the protected attributes, then the outputs that
    the model gives, those of them that the metric is defined for. `classes` are the canonical keys of a multiclass model's
    classes, known once there is a reference: what `classes: all` stands for.
    """
    match REGISTRY[rule.metric].of:
        case "columns":
            columns = model.spec.column_names
            named = [_column_subject(name, columns) for name in _columns(rule, model)]
            return tuple(dict.fromkeys(named))
        case "groups":
            return (Subject(by=",".join(rule.segment)),)
        case "model" if rule.classes is not None:
            return tuple(Subject(of_class=key) for key in (classes if rule.classes == "all" else rule.classes))
    return (Subject(),)


def _columns(rule: Rule, model: ModelFile) -> tuple[str, ...]:
    if isinstance(rule.columns, tuple):
        return rule.columns
    left_out = rule.columns.names if isinstance(rule.columns, Except) else ()
    return tuple(name for name in columns_of(model, REGISTRY[rule.metric]) if name not in left_out)


def _column_subject(name: str, columns: tuple[str, ...]) -> Subject:
    return Subject(column=name) if name in columns else Subject(output=name)


@dataclass(slots=True)
class _Loader:
    """Gathers files one by one; checks between files come last, when all are known."""

    models: dict[str, ModelFile] = field(default_factory=dict)
    policies: dict[str, PolicyFile] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    drafts: list[Draft] = field(default_factory=list)
    documents: dict[tuple[str, str], Document] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def take(self, data: bytes, name: str) -> None:
        """Read one file; its documents are told apart by their kind."""
        reading = read(data, name)
        self.mistakes += reading.mistakes
        for document in reading.documents:
            match _kind(document):
                case "Model":
                    self.take_model(document)
                case "Policy":
                    self.take_policy(document)
                case None if document.whole:
                    self.mistakes.append(_kind_mistake(document))

    def take_model(self, document: Document) -> None:
        found = load_model(document)
        if isinstance(found, ModelFile) and document.whole:
            self.keep(document, "Model", found, self.models)
            return
        self.mistakes += () if isinstance(found, ModelFile) else found
        name = document.get(("metadata", "name"))
        if isinstance(name, str):
            self.broken.add(name)

    def take_policy(self, document: Document) -> None:
        self.drafts.append(draft_of(document))
        found = validate(document, PolicyFile)
        if not isinstance(found, PolicyFile):
            self.mistakes += found
        elif document.whole:
            self.keep(document, "Policy", found, self.policies)

    def keep(self, document: Document, kind: str, file: F, others: dict[str, F]) -> None:
        """Keep a valid file, unless another has its name."""
        first = self.documents.get((kind, file.name))
        if first is None:
            others[file.name] = file
            self.documents[(kind, file.name)] = document
            return
        path: Path = ("metadata", "name")
        place = first.place(path)
        what, hint = f"two {kind} files are called {file.name}", f"the other is at {first.file}:{place.line}; rename one"
        self.mistakes.append(document.mistake("policy.duplicate-name", path, what, hint))

    def finish(self) -> PolicySet:
        """Check files against each other, and return the set or raise."""
        for draft in self.drafts:
            self.mistakes += check_draft(draft, self.models, frozenset(self.broken))
        found = sorted(dict.fromkeys(self.mistakes), key=lambda m: (m.file, m.line, m.column, m.path, m.code))
        if not all(mistake.warning for mistake in found):
            raise InvalidFileError(found)
        return PolicySet(
            models=self.models,
            policies=self.policies,
            model_digests={name: digest_of(file.to_json()) for name, file in self.models.items()},
            policy_digests={name: digest_of(file.to_json()) for name, file in self.policies.items()},
            documents=self.documents,
            warnings=tuple(found),
        )


def _kind(document: Document) -> Any:
    """Return the kind that was meant, or None; what is written is checked with the rest of the document."""
    kind = document.get(("kind",))
    return closest(kind, KINDS) if isinstance(kind, str) else None


def _kind_mistake(document: Document) -> Mistake:
    hint = "kind: Model says what is watched, kind: Policy what must hold"
    if not isinstance(document.value, dict):
        return document.mistake("file.wrong-type", (), "a document must be a mapping (key: value)", hint)
    if "kind" not in document.value:
        return document.mistake("file.missing-key", (), '"kind" is missing', f"add it: {hint}")
    kind = document.value["kind"]
    return document.mistake("file.not-allowed", ("kind",), f"{shown(kind)} is no kind", choice_hint(kind, KINDS))
