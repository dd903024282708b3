def scaled(price):
    return price * 25
