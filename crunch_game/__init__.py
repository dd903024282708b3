"""Write live prediction games: run many people's models side by side, under budgets, and rank them.

Public names are loaded on first use, so that a participant's model, which imports this package for its base
class, pays for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game._backtest import Backtest as Backtest
    from crunch_game._backtest import backtest as backtest
    from crunch_game.contract import Contract as Contract
    from crunch_game.crunchdao import CrunchRoster as CrunchRoster
    from crunch_game.crunchdao import DevOrchestrator as DevOrchestrator
    from crunch_game.crunchdao import GatewayCredentials as GatewayCredentials
    from crunch_game.crunchdao import NodeHost as NodeHost
    from crunch_game.crunchdao import SecureCredentials as SecureCredentials
    from crunch_game.errors import AmbiguousModel as AmbiguousModel
    from crunch_game.errors import CapsuleError as CapsuleError
    from crunch_game.errors import ContractError as ContractError
    from crunch_game.errors import CrunchGameError as CrunchGameError
    from crunch_game.errors import FeedError as FeedError
    from crunch_game.errors import GameError as GameError
    from crunch_game.errors import InvalidAnswer as InvalidAnswer
    from crunch_game.errors import LoadError as LoadError
    from crunch_game.errors import MissingExtra as MissingExtra
    from crunch_game.errors import ModelDied as ModelDied
    from crunch_game.errors import ModelError as ModelError
    from crunch_game.errors import ModelRaised as ModelRaised
    from crunch_game.errors import ModelTimeout as ModelTimeout
    from crunch_game.errors import ModelUnavailable as ModelUnavailable
    from crunch_game.errors import NoModelFound as NoModelFound
    from crunch_game.errors import ResourceError as ResourceError
    from crunch_game.errors import StoreError as StoreError
    from crunch_game.errors import StoreUnavailable as StoreUnavailable
    from crunch_game.errors import UnknownModel as UnknownModel
    from crunch_game.errors import UsageError as UsageError
    from crunch_game.events import CapsuleLost as CapsuleLost
    from crunch_game.events import CapsuleSaved as CapsuleSaved
    from crunch_game.events import ClockSet as ClockSet
    from crunch_game.events import Corrected as Corrected
    from crunch_game.events import FieldFault as FieldFault
    from crunch_game.events import HookFailed as HookFailed
    from crunch_game.events import JournalAside as JournalAside
    from crunch_game.events import JournalFull as JournalFull
    from crunch_game.events import LoopBlocked as LoopBlocked
    from crunch_game.events import ModelJoined as ModelJoined
    from crunch_game.events import ModelLeft as ModelLeft
    from crunch_game.events import ModelLoadFailed as ModelLoadFailed
    from crunch_game.events import ModelReady as ModelReady
    from crunch_game.events import ModelRedeployed as ModelRedeployed
    from crunch_game.events import ModelRestarted as ModelRestarted
    from crunch_game.events import ModelStopped as ModelStopped
    from crunch_game.events import PredictionsSetAside as PredictionsSetAside
    from crunch_game.events import RosterFound as RosterFound
    from crunch_game.events import RosterLost as RosterLost
    from crunch_game.events import RoundLate as RoundLate
    from crunch_game.events import RoundPlayed as RoundPlayed
    from crunch_game.events import RoundsMissed as RoundsMissed
    from crunch_game.events import RowsSlow as RowsSlow
    from crunch_game.events import StoreAway as StoreAway
    from crunch_game.events import StoreBack as StoreBack
    from crunch_game.events import TickPlayed as TickPlayed
    from crunch_game.feeds import Feed as Feed
    from crunch_game.feeds import FeedGap as FeedGap
    from crunch_game.feeds import FeedMoves as FeedMoves
    from crunch_game.feeds import FeedStands as FeedStands
    from crunch_game.feeds import FeedTrouble as FeedTrouble
    from crunch_game.feeds import History as History
    from crunch_game.feeds import PollingFeed as PollingFeed
    from crunch_game.feeds import ReplayFeed as ReplayFeed
    from crunch_game.feeds import Row as Row
    from crunch_game.feeds import RowDropped as RowDropped
    from crunch_game.feeds import RowKept as RowKept
    from crunch_game.feeds import ValueDropped as ValueDropped
    from crunch_game.game import Game as Game
    from crunch_game.game import Predict as Predict
    from crunch_game.hosts import InlineHost as InlineHost
    from crunch_game.hosts.process import ProcessHost as ProcessHost
    from crunch_game.loading import AutoLoader as AutoLoader
    from crunch_game.loading import FactoryLoader as FactoryLoader
    from crunch_game.loading import SubclassLoader as SubclassLoader
    from crunch_game.loading import load_model as load_model
    from crunch_game.models import Model as Model
    from crunch_game.models import Submission as Submission
    from crunch_game.outcomes import Fault as Fault
    from crunch_game.outcomes import Outcome as Outcome
    from crunch_game.outcomes import Round as Round
    from crunch_game.outcomes import Status as Status
    from crunch_game.policy import Policy as Policy
    from crunch_game.ranking import Board as Board
    from crunch_game.ranking import Last as Last
    from crunch_game.ranking import RoundInfo as RoundInfo
    from crunch_game.ranking import Standing as Standing
    from crunch_game.resolving import Never as Never
    from crunch_game.rosters import DirectoryRoster as DirectoryRoster
    from crunch_game.rosters import RemoteRoster as RemoteRoster
    from crunch_game.rosters import Roster as Roster
    from crunch_game.rosters import StaticRoster as StaticRoster
    from crunch_game.runner import MethodCall as MethodCall
    from crunch_game.runner import ModelRunner as ModelRunner
    from crunch_game.sandbox import Sandbox as Sandbox
    from crunch_game.scoring import CRPS as CRPS
    from crunch_game.scoring import AbsoluteError as AbsoluteError
    from crunch_game.scoring import Brier as Brier
    from crunch_game.scoring import Density as Density
    from crunch_game.scoring import Energy as Energy
    from crunch_game.scoring import LogScore as LogScore
    from crunch_game.scoring import Pinball as Pinball
    from crunch_game.scoring import RankedProbability as RankedProbability
    from crunch_game.scoring import Rule as Rule
    from crunch_game.scoring import Scorer as Scorer
    from crunch_game.scoring import SquaredError as SquaredError
    from crunch_game.scoring import WeightedInterval as WeightedInterval
    from crunch_game.storage import MemoryStore as MemoryStore
    from crunch_game.storage import ModelRecord as ModelRecord
    from crunch_game.storage import Prediction as Prediction
    from crunch_game.storage import Score as Score
    from crunch_game.storage import SQLStore as SQLStore
    from crunch_game.storage import Store as Store
    from crunch_game.storage import open_store as open_store
    from crunch_game.tracker import TrackerBase as TrackerBase
    from crunch_game.workers import GameResult as GameResult
    from crunch_game.workers import PredictWorker as PredictWorker
    from crunch_game.workers import ScoreWorker as ScoreWorker
    from crunch_game.workers import Standings as Standings
    from crunch_game.workers import run_game as run_game
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
