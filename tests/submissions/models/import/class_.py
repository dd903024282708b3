def scaled(price):
    return price * 13
