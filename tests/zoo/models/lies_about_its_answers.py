"""It puts itself between the runner and its process, and what it says there makes no sense, or is endless."""

import os
import socket
import stat
import threading

import msgspec
from returns import Tracker

READY, VALUE, FAULT = 3, 4, 5


def is_socket(descriptor):
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def relay(source, target, change):
    while data := source.recv(1 << 20):
        target.sendall(change(data))


def lies():
    yield VALUE, msgspec.msgpack.Ext(9, b"")
    yield READY, []
    yield 99, {"mean": 0.0, "scale": 1.0}
    yield FAULT, ("x" * 100_000, "y" * 800_000, "z" * 900_000)


told = lies()


def lie(frame):
    _, call, *_ = msgspec.msgpack.decode(frame[4:])
    kind, body = next(told)
    frame = msgspec.msgpack.encode([kind, call, body, None])
    return len(frame).to_bytes(4, "little") + frame


def come_between():
    [channel] = filter(is_socket, range(3, 1024))
    to_runner = socket.socket(fileno=os.dup(channel))
    ours, theirs = socket.socketpair()
    os.dup2(theirs.fileno(), channel)
    threading.Thread(target=relay, args=(ours, to_runner, lie), daemon=True).start()
    threading.Thread(target=relay, args=(to_runner, ours, bytes), daemon=True).start()


class Model(Tracker):
    between = False

    def predict(self, asset):
        if not self.between:
            self.between = True
            come_between()
        return {"mean": 0.0, "scale": 1.0}
