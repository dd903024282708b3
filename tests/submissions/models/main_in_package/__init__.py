from .main import Model as Model

FACTOR = 8
