def scaled(price):
    return price * 26
