"""From an answer and the truth to a number: answers as types, and the rules that score them.

`base` has the Protocols of a rule and of a scorer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring._field import Absent as Absent
    from crunch_game.scoring._field import BestOneWorstZero as BestOneWorstZero
    from crunch_game.scoring._field import Bounded as Bounded
    from crunch_game.scoring._field import Field as Field
    from crunch_game.scoring._field import FieldStep as FieldStep
    from crunch_game.scoring._field import InField as InField
    from crunch_game.scoring._field import MinusBest as MinusBest
    from crunch_game.scoring._lifting import LiftedScorer as LiftedScorer
    from crunch_game.scoring._lifting import lift as lift
    from crunch_game.scoring._lifting import with_steps as with_steps
    from crunch_game.scoring.answers import FAMILIES as FAMILIES
    from crunch_game.scoring.answers import Builtin as Builtin
    from crunch_game.scoring.answers import Categories as Categories
    from crunch_game.scoring.answers import Component as Component
    from crunch_game.scoring.answers import Density as Density
    from crunch_game.scoring.answers import Families as Families
    from crunch_game.scoring.answers import Family as Family
    from crunch_game.scoring.answers import Levels as Levels
    from crunch_game.scoring.answers import Mixture as Mixture
    from crunch_game.scoring.answers import Names as Names
    from crunch_game.scoring.answers import Normal as Normal
    from crunch_game.scoring.answers import Part as Part
    from crunch_game.scoring.answers import PathLength as PathLength
    from crunch_game.scoring.answers import Paths as Paths
    from crunch_game.scoring.answers import Point as Point
    from crunch_game.scoring.answers import Probability as Probability
    from crunch_game.scoring.answers import Quantiles as Quantiles
    from crunch_game.scoring.answers import Samples as Samples
    from crunch_game.scoring.answers import Scipy as Scipy
    from crunch_game.scoring.answers import as_components as as_components
    from crunch_game.scoring.answers import as_normal_mixture as as_normal_mixture
    from crunch_game.scoring.answers import cdf as cdf
    from crunch_game.scoring.answers import density as density
    from crunch_game.scoring.answers import families as families
    from crunch_game.scoring.answers import kinds as kinds
    from crunch_game.scoring.answers import mixture as mixture
    from crunch_game.scoring.answers import normal as normal
    from crunch_game.scoring.answers import pdf as pdf
    from crunch_game.scoring.answers import quantile as quantile
    from crunch_game.scoring.answers import sample as sample
    from crunch_game.scoring.base import AnsweredRound as AnsweredRound
    from crunch_game.scoring.base import BatchScorer as BatchScorer
    from crunch_game.scoring.base import Rule as Rule
    from crunch_game.scoring.base import ScoreFunction as ScoreFunction
    from crunch_game.scoring.base import Scorer as Scorer
    from crunch_game.scoring.base import Unit as Unit
    from crunch_game.scoring.rules import CRPS as CRPS
    from crunch_game.scoring.rules import AbsoluteError as AbsoluteError
    from crunch_game.scoring.rules import Brier as Brier
    from crunch_game.scoring.rules import Energy as Energy
    from crunch_game.scoring.rules import Likelihood as Likelihood
    from crunch_game.scoring.rules import LogScore as LogScore
    from crunch_game.scoring.rules import MedianRatio as MedianRatio
    from crunch_game.scoring.rules import Pinball as Pinball
    from crunch_game.scoring.rules import RankedProbability as RankedProbability
    from crunch_game.scoring.rules import SquaredError as SquaredError
    from crunch_game.scoring.rules import StepwiseRule as StepwiseRule
    from crunch_game.scoring.rules import Sum as Sum
    from crunch_game.scoring.rules import VolatilityCRPS as VolatilityCRPS
    from crunch_game.scoring.rules import WeightedInterval as WeightedInterval
    from crunch_game.scoring.rules import crps_normal_mixture as crps_normal_mixture
    from crunch_game.scoring.rules import sample_paths as sample_paths
    from crunch_game.scoring.rules import volatility_crps as volatility_crps
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
