def scaled(price):
    return price * 3
