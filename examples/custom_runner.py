"""A game of one's own, in one file: an author's base class with other methods than tick and predict."""

import random

import anyio

from crunch_game import ModelRunner, Policy


class Player:
    """Guess the number. Participants subclass this."""

    def hint(self, low: int, high: int) -> None: ...

    def guess(self) -> int: ...


class Halving(Player):
    def hint(self, low, high):
        self.low, self.high = low, high

    def guess(self):
        return (self.low + self.high) // 2


class Hasty(Halving):
    def guess(self):
        return random.randint(self.low, self.high)


async def main() -> None:
    number, low, high = random.randint(1, 1000), 1, 1000
    async with ModelRunner(Player, [Halving, Hasty], policy=Policy(timeout=0.5)) as runner:
        while low < high:
            await runner.call("hint", low, high)
            guesses = {who: outcome.value for who, outcome in (await runner.call("guess")).succeeded.items()}
            print(f"between {low} and {high}: {guesses}")
            low = max([low, *(guess + 1 for guess in guesses.values() if guess < number)])
            high = min([high, *(guess for guess in guesses.values() if guess >= number)])
    print(f"it is {number}")


if __name__ == "__main__":
    anyio.run(main)
