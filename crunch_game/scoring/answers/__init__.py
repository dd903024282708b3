"""Answers as types: what a model may return, checked by its annotation, and what can be asked of each.

Every model's process imports this room, so nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring.answers._asking import cdf as cdf
    from crunch_game.scoring.answers._asking import pdf as pdf
    from crunch_game.scoring.answers._asking import quantile as quantile
    from crunch_game.scoring.answers._asking import sample as sample
    from crunch_game.scoring.answers._densities import Builtin as Builtin
    from crunch_game.scoring.answers._densities import Component as Component
    from crunch_game.scoring.answers._densities import Density as Density
    from crunch_game.scoring.answers._densities import Mixture as Mixture
    from crunch_game.scoring.answers._densities import Normal as Normal
    from crunch_game.scoring.answers._densities import Part as Part
    from crunch_game.scoring.answers._densities import Scipy as Scipy
    from crunch_game.scoring.answers._densities import as_components as as_components
    from crunch_game.scoring.answers._densities import as_normal_mixture as as_normal_mixture
    from crunch_game.scoring.answers._densities import density as density
    from crunch_game.scoring.answers._densities import mixture as mixture
    from crunch_game.scoring.answers._densities import normal as normal
    from crunch_game.scoring.answers._density_schemas import MAX_COMPONENTS as MAX_COMPONENTS
    from crunch_game.scoring.answers._density_schemas import Families as Families
    from crunch_game.scoring.answers._events import Categories as Categories
    from crunch_game.scoring.answers._events import Names as Names
    from crunch_game.scoring.answers._events import Point as Point
    from crunch_game.scoring.answers._events import Probability as Probability
    from crunch_game.scoring.answers._families import FAMILIES as FAMILIES
    from crunch_game.scoring.answers._families import LARGEST as LARGEST
    from crunch_game.scoring.answers._families import SMALLEST_SCALE as SMALLEST_SCALE
    from crunch_game.scoring.answers._families import Family as Family
    from crunch_game.scoring.answers._kinds import families as families
    from crunch_game.scoring.answers._kinds import kinds as kinds
    from crunch_game.scoring.answers._quantiles import Levels as Levels
    from crunch_game.scoring.answers._quantiles import Quantiles as Quantiles
    from crunch_game.scoring.answers._samples import PathLength as PathLength
    from crunch_game.scoring.answers._samples import Paths as Paths
    from crunch_game.scoring.answers._samples import Samples as Samples
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
