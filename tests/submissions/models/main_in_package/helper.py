def scaled(price):
    from . import FACTOR

    return price * FACTOR
