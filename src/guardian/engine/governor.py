"""What a fleet has one of at a time: files that take effect, each model's judge, and the signed checkpoints.

Any number of processes may stand by; leases say who does what. A lease is only who should: what is landed is guarded by the claim
of the model's seat, or by a run row, so that one who lost a lease unawares changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guardian.canonical import short_id
from guardian.effects import Record
from guardian.engine.activation import activate
from guardian.engine.catalog import load_catalog
from guardian.engine.fates import Fate, FencedError, fate_of
from guardian.engine.judging import ModelJudge
from guardian.engine.lease import Holding
from guardian.engine.service import CHECKPOINT, NoModelsError
from guardian.engine.telling import told
from guardian.errors import GuardianError

if TYPE_CHECKING:
    from collections.abc import Callable

    from guardian.effects import Effects
    from guardian.engine.catalog import References
    from guardian.engine.service import LeasingStore
    from guardian.pipeline.judge import GroupTable
    from guardian.policies.load import PolicySet

FILES_LEASE: Final = "files"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a governor works with.

    Attributes:
        files: Reads the files that are to hold; raises InvalidFileError.
        references: Where references come from.
        group_table: Makes the group table that is kept with a firing fairness alert.
        checkpoint: Signs the audit log's heads now; returns a sentence.
        files_every_ms: How often files are looked at.
        checkpoint_every_ms: How often the audit log is signed.
        now: The wall clock.
        say: Tells a person one line.
    """

    files: Callable[[], PolicySet]
    references: References
    group_table: GroupTable
    checkpoint: Callable[[], str]
    files_every_ms: int
    checkpoint_every_ms: int
    now: Callable[[], int]
    say: Callable[[str], None]


class Governor:
    """Judges, activates and signs where it holds the leases. Not for several threads."""

    def __init__(self, store: LeasingStore, topic: str, owner: str, rules: Rules) -> None:
        self._store, self._topic, self._owner, self._rules = store, topic, owner, rules
        self._files = Holding(store, FILES_LEASE, owner, rules.now)
        self._holdings: dict[str, Holding] = {}
        self._judges: dict[str, ModelJudge] = {}
        self._files_at = self._models_at = 0
        self._models: list[str] = []
        self._refused = ""
        self._signed_for: int | None = None

    def turn(self) -> bool:
        """Do what is due; whether anything was. Raises what stops the process, and StoreBusyError: turn again after a pause."""
        if not self._store.standings(self._topic):
            return False  # No worker has said yet how many partitions there are.
        self._activate()
        self._checkpoint()
        judged = [self._judge(model) for model in self._known()]
        return any(judged)

    @property
    def stands_by(self) -> bool:
        """Whether another process has one of the leases, or had until a moment ago."""
        return any(holding.stands_by for holding in (self._files, *self._holdings.values()))

    def stop(self) -> None:
        """Give every lease up, for the next to take at once."""
        for holding in (self._files, *self._holdings.values()):
            holding.give_up()

    def _known(self) -> list[str]:
        """Return the models that are or were watched, looked up now and then."""
        now = self._rules.now()
        if now >= self._models_at:
            first = self._store.standings(self._topic)[0].claim.partition
            self._models = sorted(load_catalog(self._store, first)) if any(self._store.positioned(first)) else []
            self._models_at = now + (self._rules.files_every_ms if self._models else 0)
        return self._models

    def _judge(self, model: str) -> bool:
        """Let a model's judge sit until nothing is due; whether anything was."""
        holding = self._holdings.setdefault(model, Holding(self._store, f"judge/{model}", self._owner, self._rules.now))
        did = False
        while holding.is_held():
            judge = self._judges.get(model)
            try:
                if judge is None:
                    judge = ModelJudge(
                        self._store, self._topic, model, self._owner, now=self._rules.now, group_table=self._rules.group_table
                    )
                    self._judges[model] = judge
                effects = judge.sit()
            except GuardianError:
                self._judges.pop(model, None)  # What is in memory is ahead of the store.
                raise
            if effects is None:
                return did
            did = True
            for line in told(effects):
                self._rules.say(line)
        self._judges.pop(model, None)
        return did

    def _activate(self) -> None:
        """Make the files hold. A bad set is refused and recorded once, and the last good one goes on."""
        now = self._rules.now()
        if now < self._files_at or not self._files.is_held():
            return
        try:
            self._told(activate(self._store, self._topic, self._read(), self._rules.references, now))
        except FencedError:
            return  # Somebody else did, at the same moment: look again at the next turn.
        except GuardianError as error:
            if fate_of(error) is Fate.RETRY:
                raise
            self._refuse(error)
        self._files_at = now + self._rules.files_every_ms

    def _read(self) -> PolicySet:
        files = self._rules.files()
        if not files.models:
            raise NoModelsError("there is no model file", hint="put one into policies/; to stop watching, stop guardian")
        return files

    def _told(self, effects: Effects) -> None:
        self._refused = ""
        if effects.positioned:
            self._models_at = 0
        for record in effects.records:
            self._rules.say(f"{record.kind}: {record.model}")

    def _refuse(self, error: GuardianError) -> None:
        if str(error) == self._refused:
            return
        self._refused = str(error)
        self._rules.say(f"files refused, the last good ones go on: {error}")
        now = self._rules.now()
        body = {"code": error.code, "what": str(error)[:4_096]}
        record = Record("control", "activation-refused", short_id("refused", str(error), str(now)), "", body)
        with self._store.begin() as transaction:
            transaction.append_records([record], now)

    def _checkpoint(self) -> None:
        """Sign the audit log where a run is due. That it cannot be signed is told, and is no reason to stop judging."""
        now, every = self._rules.now(), self._rules.checkpoint_every_ms
        scheduled_for = now // every * every
        if scheduled_for == self._signed_for or not self._store.start_run(CHECKPOINT, scheduled_for, now):
            self._signed_for = scheduled_for
            return
        self._signed_for = scheduled_for
        try:
            self._rules.say(self._rules.checkpoint())
            outcome = "done"
        except GuardianError as error:
            self._rules.say(f"no checkpoint: {error}")
            outcome = "failed"
        self._store.finish_run(CHECKPOINT, scheduled_for, self._rules.now(), outcome)
