"""What a store does with corrections and published boards, if it says that it keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from crunch_game.errors import StoreError
from crunch_game.storage import Correction, FormerScore, PublishedBoard, as_document, from_document
from crunch_game.storage.base import Store
from crunch_game.testing.suites._records import BLINK, HOUR, MINUTE, T0, prediction, score, scored_round


def correction(n: int, verb: str = "void", **changes: Any) -> Correction:
    """The correction of a minute."""
    return Correction(T0 + n * MINUTE, "w", verb, "ada@alpha", f"reason {n}", **changes)


def published(n: int, board: str = "main", **changes: Any) -> PublishedBoard:
    """A board of an hour, published a day later."""
    document = {"rank_by": "anchor", "leaderboard": [{"model_id": "é", "rank": n, "skill": None}]}
    return replace(PublishedBoard(T0 + (24 + n) * HOUR, board, T0 + n * HOUR, document), **changes)


CORRECTIONS = [
    correction(2, since=T0, until=T0 + HOUR),
    correction(1, "retract", model_id="bob", key="BTC"),
    correction(3, "resolve", since=T0 + BLINK),
]
"""In the order in which they are appended, which need not be that of their moments: a clock may be set back."""
OLD, NEW = score(prediction(), 0.5, outcome=[1, None]), score(prediction(), None, corrected="void", reason="void: odd")
BY_RULE = score(prediction("bob"), 2.0, absent=True)
VOIDED = scored_round(prediction(), 0, void="odd")


class CorrectionsOfStore:
    """The cases, as methods."""

    lasts: ClassVar[bool]

    def test_a_store_that_keeps_no_corrections_says_so(self, store: Store) -> None:
        if store.keeps_corrections:
            pytest.skip("this store keeps corrections")
        for write in (
            lambda: store.correct(CORRECTIONS[0]),
            lambda: store.amend(1, [(OLD, NEW)]),
            lambda: store.publish([published(1)]),
        ):
            with pytest.raises(StoreError, match=f"{type(store).__name__} keeps no corrections"):
                write()
        assert (store.corrections(), store.former_scores(), store.published()) == ([], [], [])

    def test_corrections_are_appended_in_order_and_never_changed(self, store: Store) -> None:
        keeps_corrections(store)
        numbers = [store.correct(each) for each in CORRECTIONS]
        assert numbers == sorted({*numbers})
        assert numbers[0] > 0
        assert store.correct(replace(CORRECTIONS[1], reason="told otherwise")) == numbers[1]
        assert store.corrections() == list(zip(numbers, CORRECTIONS, strict=True))
        assert store.corrections(numbers[0]) == store.corrections()[1:]
        assert store.corrections(numbers[-1]) == []
        assert store.correct(replace(CORRECTIONS[1], writer="v")) > numbers[-1]

    def test_a_correction_that_cannot_be_kept_leaves_nothing(self, store: Store) -> None:
        keeps_corrections(store)
        for wrong in ({"moment": T0.replace(tzinfo=None)}, {"model_id": "\0"}, {"since": T0.replace(tzinfo=None)}):
            with pytest.raises(StoreError):
                store.correct(replace(CORRECTIONS[0], **wrong))
        assert store.corrections() == []

    def test_what_a_correction_replaces_is_kept(self, store: Store) -> None:
        keeps_corrections(store)
        store.save(predictions=[prediction(), prediction("cy")])
        store.settle([OLD, BY_RULE], [scored_round(prediction(), 1, facts={"score": {"entry": 0.5}})])
        late = score(prediction("cy"), 1.5)
        for _ in range(2):  # told to do it again, it does nothing
            store.amend(1, [(OLD, NEW), (BY_RULE, None), (None, late)], [VOIDED], note=("carried", {"number": 1}))
            assert store.scores() == [NEW, late]
            kept = [("ada", None, "void", None), ("cy", 1.5, None, None)]
            assert list(store.rounds()) == [(VOIDED, kept)]
            assert store.noted("carried") == {"number": 1}
            assert store.pending(T0 + HOUR) == []
            former = [
                FormerScore(1, each.model_id, each.key, each.at, each.resolves_at, before)
                for each, before in ((OLD, OLD), (BY_RULE, BY_RULE), (late, None))
            ]
            assert store.former_scores() == former
        store.amend(2, [(NEW, OLD)])
        again = FormerScore(2, "ada", NEW.key, NEW.at, NEW.resolves_at, NEW)
        assert store.scores() == [OLD, late]
        assert store.former_scores() == [*former, again]
        assert store.former_scores(2) == [again]
        assert store.former_scores(model_id="ada") == [former[0], again]
        assert store.former_scores(1, model_id="cy") == [former[2]]

    def test_many_scores_are_replaced_as_one_is(self, store: Store) -> None:
        keeps_corrections(store)
        asked = [prediction(f"m{n:03}", T0 + n % 3 * MINUTE) for n in range(150)]
        store.save(predictions=asked)
        store.settle([score(each, 0.5) for each in asked])
        changes = [(score(each, 0.5), score(each, 0.25) if n % 4 else None) for n, each in enumerate(asked)]
        for _ in range(2):
            store.amend(1, changes)
            kept = sorted((new for _, new in changes if new), key=lambda each: (each.resolves_at, each.model_id))
            assert store.scores() == kept
            assert len(store.former_scores(1)) == len(asked)

    def test_an_amendment_that_cannot_be_kept_leaves_nothing(self, store: Store) -> None:
        keeps_corrections(store)
        store.settle([OLD])
        for wrong in (
            {"changes": [(OLD, NEW), (None, replace(OLD, value=float("nan")))]},
            {"changes": [(OLD, NEW)], "rounds": [replace(VOIDED, horizon=float("inf"))]},
            {"changes": [(OLD, NEW)], "note": ("carried", {"a": object()})},
        ):
            with pytest.raises(StoreError):
                store.amend(1, **wrong)
        assert (store.scores(), store.former_scores(), store.noted("carried")) == ([OLD], [], None)

    def test_what_was_corrected_is_not_tried_again_as_if_it_had_been_set_aside(self, store: Store) -> None:
        keeps_corrections(store)
        asked = [prediction(name) for name in ("ada", "bob", "cy")]
        store.save(predictions=asked)
        corrected = [
            score(asked[0], None, reason="void: odd", corrected="void"),
            score(asked[1], None, reason="retracted: odd", corrected="retracted"),
        ]
        store.settle([*corrected, score(asked[2], None, reason="no price")])
        assert store.reopen() == 1
        assert store.pending(T0 + HOUR) == [asked[2]]
        assert store.scores() == corrected

    def test_boards_are_found_by_when_they_were_published_and_by_their_time(self, store: Store) -> None:
        keeps_corrections(store)
        assert store.published() == []
        first, second = [published(1, "b"), published(1, "a")], [published(2, "a", correction=3)]
        again = [published(3, "a", at=T0 + 2 * HOUR, correction=4)]
        for each in (again, first, second):
            store.publish(each)
        store.publish([replace(second[0], document={"told": "otherwise"})])
        assert store.published() == again
        assert store.published(second[0].moment) == second
        assert store.published(second[0].moment - BLINK) == first[::-1]
        assert store.published(first[0].moment - BLINK) == []
        assert store.published(at=T0 + 9 * HOUR) == again
        assert store.published(at=T0 + 2 * HOUR - BLINK) == first[::-1]
        assert store.published(second[0].moment, at=T0 + 9 * HOUR) == second
        assert store.published(at=T0) == []

    def test_corrections_are_there_when_the_store_is_opened_again(self, opener: Callable[[], Store]) -> None:
        with opener() as store:
            keeps_corrections(store)
            if not self.lasts:
                pytest.skip("this store ends when it is closed")
            last = [store.correct(each) for each in CORRECTIONS][-1]
            store.amend(1, [(OLD, NEW)], [VOIDED])
            store.publish([published(1)])
            before = store.corrections(), store.former_scores(), store.published(), store.scores()
        with opener() as store:
            assert (store.corrections(), store.former_scores(), store.published(), store.scores()) == before
            assert store.correct(correction(9)) > last

    def test_corrections_are_documents_and_documents_corrections(self, store: Store) -> None:
        keeps_corrections(store)
        for each in CORRECTIONS:
            store.correct(each)
        store.amend(1, [(OLD, NEW), (None, BY_RULE)])
        store.publish([published(1)])
        found = [*(each for _, each in store.corrections()), *store.former_scores(), *store.published()]
        for record in [*found, NEW, VOIDED]:
            assert from_document(type(record), as_document(record)) == record


def keeps_corrections(store: Store) -> None:
    """Skip the test for a store that does not."""
    if not store.keeps_corrections:
        pytest.skip("this store keeps no corrections")
