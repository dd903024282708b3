from .scaling import FACTOR as FACTOR
