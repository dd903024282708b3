"""A game in motion: the worker that asks, the one that scores, and both together.

They compose public parts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.workers._answers import Answered as Answered
    from crunch_game.workers._answers import RepeatedFault as RepeatedFault
    from crunch_game.workers._answers import told_faults as told_faults
    from crunch_game.workers._apart import predict_game as predict_game
    from crunch_game.workers._apart import score_game as score_game
    from crunch_game.workers._base import Listener as Listener
    from crunch_game.workers._base import Standings as Standings
    from crunch_game.workers._base import beside as beside
    from crunch_game.workers._base import claim as claim
    from crunch_game.workers._base import feed_of as feed_of
    from crunch_game.workers._base import safely as safely
    from crunch_game.workers._eventlog import event_record as event_record
    from crunch_game.workers._past import board_documents as board_documents
    from crunch_game.workers._past import standings_at as standings_at
    from crunch_game.workers._play import GameResult as GameResult
    from crunch_game.workers._play import run_game as run_game
    from crunch_game.workers._predict import PredictWorker as PredictWorker
    from crunch_game.workers._pruning import PrunePlan as PrunePlan
    from crunch_game.workers._pruning import plan_pruning as plan_pruning
    from crunch_game.workers._pruning import prune as prune
    from crunch_game.workers._score import ScoreWorker as ScoreWorker
    from crunch_game.workers._scoring import Scoring as Scoring
    from crunch_game.workers.predicting import HANDLED as HANDLED
    from crunch_game.workers.settling import CORRECTED as CORRECTED
    from crunch_game.workers.settling import LEADERBOARD as LEADERBOARD
    from crunch_game.workers.settling import OF_ROUNDS as OF_ROUNDS
    from crunch_game.workers.settling import InForce as InForce
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
