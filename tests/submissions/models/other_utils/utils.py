def scaled(price):
    return price * 4
