def scaled(price):
    return price * 21
