"""The three boards of Numinous: the probability that a market's question is answered with yes, by topic.

Its composite of the three, and questions that are asked again until they close, are not here yet.
"""

from collections.abc import Mapping

from crunch_game import Board, Last, Prediction
from crunch_game.scoring import Field, InField


def clipped(prediction: Prediction, came_true: bool) -> float:
    """The Brier score of a probability between 0.01 and 0.99: whoever is sure and wrong loses no more than 0.98."""
    return (min(max(prediction.value, 0.01), 0.99) - came_true) ** 2


def quarter(field: Field) -> Mapping[str, float]:
    """A step of one's own: who gave no valid answer has what "1/2" has, whatever happens."""
    return {**dict.fromkeys(field.absent, 0.25), **field.scores}


rule = InField(clipped, quarter)


def board(topic: str, last: int, least: int) -> Board:
    """The mean over the last questions of a topic. Who has answered fewer than `least` is shown below, without a rank.

    By the mean, since all questions have one scale: whoever sits out a question has there what "1/2" has.
    """
    return Board(
        topic,
        of=lambda question: question.arguments["topic"] == topic,
        by="mean",
        windows={"last": Last(last)},
        least=least,
    )


boards = [board("global", 600, 200), board("geopolitics", 200, 100), board("reasoning", 200, 100)]
