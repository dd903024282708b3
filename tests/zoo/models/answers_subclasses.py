"""Its answer is made of subclasses of str, float and dict, which misbehave as well as they can."""

from returns import Tracker


class Text(str):
    def __str__(self):
        raise RuntimeError("no text")

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class Number(float):
    def __float__(self):
        raise RuntimeError("no number")

    def __repr__(self):
        raise RuntimeError("nothing to be seen")


class Table(dict):
    def items(self):
        raise RuntimeError("no items")

    def __iter__(self):
        raise RuntimeError("no keys")


class Model(Tracker):
    def predict(self, asset):
        return Table({Text("mean"): Number(0.0), Text("scale"): Number(1.0)})
