"""The two halves of a running game, predicting and scoring, apart or together."""

from crunch_game.workers.base import Standings
from crunch_game.workers.play import GameResult, run_game
from crunch_game.workers.predict import PredictWorker
from crunch_game.workers.score import ScoreWorker

__all__ = ["GameResult", "PredictWorker", "ScoreWorker", "Standings", "run_game"]
