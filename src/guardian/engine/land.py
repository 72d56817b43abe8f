"""How one step becomes durable: the one written commit order.

Takes: a store, the claim that the step was counted under, and its effects. Gives: the claim that the next
step starts from. Never: writes without a valid claim, or in two transactions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from guardian.engine.fates import FencedError
from guardian.errors import InvalidStateError

if TYPE_CHECKING:
    from guardian.effects import Effects
    from guardian.engine.ports import Claim, Store

_FENCING: Final = frozenset({"activation", "decision"})  # Whoever counted without knowing of these must count again.


def land(store: Store, claim: Claim, next_offset: int, effects: Effects, recorded_at: int, *, tail: str = "") -> Claim:
    """Make one step durable and return the claim at `next_offset`; `recorded_at` is the wall clock, UTC ms.

    `tail` is the digest of the last record before `next_offset`, where the log is one that could be replaced.

    Everything happens in one transaction, so a crash after any line leaves either nothing or all of it. What
    each line adds:

    1. The position moves by compare-and-swap on (epoch, next_offset, catalog). It is first, so that a fenced
       process does no other work. Crash here: nothing was written; whoever claims next counts the same events
       again.
    2. Positioned records, of which activations and decisions raise the catalog number and so make every claim
       but the returned one stale; then state: blobs, panes, ledger runs, intake counters. Crash here: rolled
       back with the position, so that what is counted is always the prefix before `next_offset`.
    3. Dead letters, then artifacts, then audit records. A record may name an artifact by digest, so that is
       there before it. Crash here: rolled back; sequence and hash are given anew, from the same head, to the
       same records.
    4. The verdict index, alerts and requests: the read model of what the records say. It never shows what is
       not recorded.
    5. The outbox last: nobody can be told what is not recorded. Sequences are given here and stay gapless
       under rollback.
    6. Commit. Crash before it: as 1. Crash after it, or a lost reply: the claim in memory is behind the
       stored one, and the next compare-and-swap of it fails; the process that loads again starts after this
       step.

    Raises FencedError when the claim is stale, and what the store raises; the caller then drops its state in
    memory and loads again (engine.fates.fate_of). Raises InvalidStateError when `next_offset` lies before the
    claim.
    """
    if next_offset < claim.next_offset:
        raise InvalidStateError(
            f"a step from offset {claim.next_offset} may not end at {next_offset}",
            hint="report it: positions only rise",
        )
    partition = claim.partition
    with store.begin() as transaction:
        if not transaction.advance(claim, next_offset, tail):
            raise FencedError(
                f"the claim on {partition.topic}/{partition.number} at offset {claim.next_offset} is stale",
                hint="claim the partition and load its state again",
            )
        for write in effects.positioned:
            transaction.add_positioned(partition, write.kind, write.offset, write.body, recorded_at)
        if any(write.kind in _FENCING for write in effects.positioned):
            claim = replace(claim, catalog=transaction.raise_catalog(partition))
        transaction.put_states(partition, effects.states)
        transaction.put_panes(partition, effects.panes, next_offset)
        transaction.put_runs(partition, effects.runs, effects.dropped_runs)
        transaction.put_fates(partition, effects.fates)
        transaction.put_dead_letters(partition, effects.dead_letters, recorded_at)
        transaction.put_artifacts(effects.artifacts)
        transaction.append_records(effects.records, recorded_at)
        transaction.put_verdicts(effects.verdicts)
        transaction.put_alerts(effects.alerts)
        transaction.put_requests(effects.requests)
        transaction.announce(effects.announcements, recorded_at)
    return replace(claim, next_offset=next_offset)
