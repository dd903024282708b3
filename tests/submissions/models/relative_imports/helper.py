from .features import FACTOR


def scaled(price):
    return price * FACTOR
