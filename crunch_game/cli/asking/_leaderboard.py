"""`crunch-game leaderboard` and `corrections`: boards as they are and as they were, and what has changed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from crunch_game.cli import _output as output
from crunch_game.cli import _references as references
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import AsJson, escape, screen
from crunch_game.cli.asking._shown import line, minute, plain_table, time_of
from crunch_game.errors import UsageError
from crunch_game.storage import Correction, PublishedBoard, Store, as_document, open_store
from crunch_game.workers import CORRECTED, HANDLED, LEADERBOARD, OF_ROUNDS, board_documents, standings_at

At = Annotated[
    str | None,
    typer.Option("--at", help='As of a time of the game, by what is known now: UTC, or back from the last row ("2d").'),
]
AsPublished = Annotated[
    str | None, typer.Option("--as-published", help='As people saw it at a time: UTC, or back from now ("2d").')
]
GameOption = Annotated[str | None, typer.Option("--game", help="The game, for --at: package.module:game, or its file.")]

Boards = Mapping[str, Mapping[str, Any]]


def leaderboard(
    store: StoreUrl, at: At = None, as_published: AsPublished = None, game: GameOption = None, as_json: AsJson = False
) -> None:
    """Show the leaderboard of a game that is, or was, played: as it is, as it was seen, or as it stands for a time."""
    if at is not None and game is None:
        raise UsageError(
            "--at makes the boards anew, and must know the game: add --game package.module:game, or its file"
        )
    with open_store(store, create=False) as opened:
        document = _as_of(opened, at, as_published, game) if at or as_published else _current(opened)
    if as_json:
        output.print_json(document)
        return
    for table in output.boards(document["boards"], document.pop("title", None) or _title(document)):
        screen.print(table)
    _show_moved(document)


def corrections(store: StoreUrl, as_json: AsJson = False) -> None:
    """Show what was corrected in a game: by whom, why, what it is about, and whether it is carried out."""
    with open_store(store, create=False) as opened:
        done = _done(opened)
        found = [_correction(opened, number, each, done) for number, each in opened.corrections()]
    if as_json:
        output.print_json({"corrections": found})
    elif not found:
        line("nothing was corrected in this game")
    else:
        table = plain_table()
        for name in ("", "when", "by", "what", "why", "scores"):
            table.add_column(name, overflow="fold", justify="right" if name in ("", "scores") else "left")
        for each in found:
            count = "to be done" if not each["done"] else "" if each["scores"] is None else f"{each['scores']:,}"
            cells = str(each["number"]), minute(each["moment"]), each["by"], _scope(each), each["reason"], count
            table.add_row(*map(escape, cells))
        screen.print(table)


def _current(store: Store) -> dict[str, Any]:
    kept = store.noted(LEADERBOARD)
    if kept is None:
        raise UsageError("the store has no leaderboard yet; one comes with the first score")
    if "boards" not in kept:
        raise UsageError("the store was last scored by an earlier version; start its game to have its boards")
    return kept


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['game']}, as of {str(document['at'])[:19].replace('T', ' ')} UTC"


def _as_of(store: Store, at: str | None, as_published: str | None, reference: str | None) -> dict[str, Any]:
    newest = store.last_row()
    if newest is None:
        raise UsageError("the store has no row yet, and so no leaderboard")
    time = None if at is None else time_of(at, newest.time, "--at")
    seen = None if as_published is None else time_of(as_published, datetime.now(UTC), "--as-published")
    published = store.published(seen) if seen is not None else store.published(at=time)
    name = (store.noted(LEADERBOARD) or {}).get("game")
    if time is None or reference is None:
        if not published:
            raise UsageError(
                f"no leaderboard was published until {minute(seen)}; the first is when a whole `Game(publish=...)` has "
                "passed, an hour unless the game says otherwise"
            )
        document = {"game": name, "at": published[0].at, "published": published[0].moment}
        title = f"{name}, as published {minute(published[0].moment)} UTC, as of {minute(published[0].at)} UTC"
        return {**document, "title": title, "boards": {each.board: each.document for each in published}}
    game = references.game_at(reference)
    boards = board_documents(game, standings_at(game, store, time))
    document = {"game": game.name, "at": time, "boards": boards, "published": None, "moved": [], "corrections": []}
    if published:
        first = published[0]
        now = boards if first.at == time else board_documents(game, standings_at(game, store, first.at))
        since = list(_since(store, first))
        moved = [each | {"corrections": _who(since, each["model_id"])} for each in _moved(published, now)]
        told = [_without(each, "models") for each in since]
        document |= {"published": {"moment": first.moment, "at": first.at}, "moved": moved, "corrections": told}
    return document


def _moved(published: Sequence[PublishedBoard], now: Boards) -> Iterable[dict[str, Any]]:
    """Who has another place than when the boards were published."""
    for each in published:
        if each.board not in now:
            continue
        before = {standing["model_id"]: standing["rank"] for standing in each.document["leaderboard"]}
        after = {standing["model_id"]: standing["rank"] for standing in now[each.board]["leaderboard"]}
        for model_id in [*after, *(name for name in before if name not in after)]:
            if before.get(model_id) != after.get(model_id):
                ranks = {"before": before.get(model_id), "after": after.get(model_id)}
                yield {"board": each.board, "model_id": model_id, **ranks}


def _since(store: Store, published: PublishedBoard) -> Iterable[dict[str, Any]]:
    """The corrections since boards were published that have changed scores of these."""
    done = _done(store)
    for number, each in store.corrections(published.correction):
        if each.verb not in OF_ROUNDS or number > done:
            continue
        former = [score for score in store.former_scores(number) if score.resolves_at <= published.at]
        if former:
            found = _correction(store, number, each, done) | {"scores": len(former)}
            yield found | {"models": {score.model_id for score in former}}


def _who(since: Sequence[Mapping[str, Any]], model_id: str) -> list[int]:
    """The corrections that have changed a model's own scores; all, if it has moved by what became of others."""
    own = [each["number"] for each in since if model_id in each["models"]]
    return own or [each["number"] for each in since]


def _without(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def _show_moved(document: Mapping[str, Any]) -> None:
    published = document.get("published")
    if "moved" not in document:
        return
    if published is None:
        line("no leaderboard was published of that time, to compare it with")
        return
    said = f"the one published {minute(published['moment'])} UTC, as of {minute(published['at'])} UTC"
    if not document["moved"]:
        line(f"nobody has another place than on {said}")
    else:
        line(f"other places than on {said}:")
    several = len(document["boards"]) > 1
    for each in document["moved"]:
        board = f" on {each['board']}" if several else ""
        numbers = ", ".join(map(str, each["corrections"]))
        why = f"correction{'s' if ',' in numbers else ''} {numbers}" if numbers else "rounds that were scored later"
        line(f"  {each['model_id']} {each['before'] or '-'} → {each['after'] or '-'}{board}: {why}")
    for each in document["corrections"]:
        line(f"correction {each['number']}, {minute(each['moment'])} by {each['by']}: {_scope(each)}: {each['reason']}")


def _done(store: Store) -> int:
    number = (store.noted(CORRECTED) or {}).get("number", 0)
    return number if isinstance(number, int) else 0


def _correction(store: Store, number: int, correction: Correction, done: int) -> dict[str, Any]:
    is_of_rounds = correction.verb in OF_ROUNDS
    handled = number <= (done if is_of_rounds else (store.noted(HANDLED) or {}).get("number", 0))
    scores = len(store.former_scores(number)) if is_of_rounds else None
    return {"number": number, **as_document(correction), "done": handled, "scores": scores}


def _scope(correction: Mapping[str, Any]) -> str:
    """What a correction is about, in words."""
    parts = [correction["verb"]]
    parts += [correction["model_id"]] if correction["model_id"] else []
    parts += [correction["key"]] if correction["key"] else []
    parts += [f"from {minute(correction['since'])}"] if correction["since"] else []
    parts += [f"until {minute(correction['until'])}"] if correction["until"] else []
    return " ".join(parts)
