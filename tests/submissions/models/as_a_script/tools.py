def scaled(price):
    return price * 22
