def scaled(price):
    return price * 6
