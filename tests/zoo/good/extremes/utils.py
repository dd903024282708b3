def between(low, high, weight):
    return low + weight * (high - low)
