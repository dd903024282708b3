from .. import constants

FACTOR = constants.HALF / 2
