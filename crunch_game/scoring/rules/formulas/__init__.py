"""Answers as arrays, and the formulas that score arrays.

All modules import numpy and scipy, which come with the extra `scoring`: they are imported when a rule scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring.rules.formulas._closed_forms import FORMULAS as FORMULAS
    from crunch_game.scoring.rules.formulas._draws import crps_of_samples as crps_of_samples
    from crunch_game.scoring.rules.formulas._draws import energy_of_paths as energy_of_paths
    from crunch_game.scoring.rules.formulas._flattened import Normals as Normals
    from crunch_game.scoring.rules.formulas._flattened import flattened as flattened
    from crunch_game.scoring.rules.formulas._libraries import Array as Array
    from crunch_game.scoring.rules.formulas._libraries import np as np
    from crunch_game.scoring.rules.formulas._libraries import special as special
    from crunch_game.scoring.rules.formulas._normals import crps_normal_mixture as crps_normal_mixture
    from crunch_game.scoring.rules.formulas._price_paths import sample_paths as sample_paths
    from crunch_game.scoring.rules.formulas._price_paths import volatility_crps as volatility_crps
    from crunch_game.scoring.rules.formulas._stored import decoded as decoded
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
