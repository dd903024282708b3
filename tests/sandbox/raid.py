"""A coordinator whose model attacks it, `python raid.py JSON`; prints what became of every attack."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from pathlib import Path

import anyio

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from attacks import ATTACKS, SECRET, Scene  # noqa: E402
from raiders import ON_OTHERS  # noqa: E402

from crunch_game import ModelRunner, Policy, ProcessHost, Sandbox, TrackerBase  # noqa: E402

ALICE = f'''
import os
from crunch_game import TrackerBase

# {SECRET.decode()}
class Alice(TrackerBase):
    def predict(self, what, *arguments):
        if what == "who":
            with open(os.environ["TMPDIR"] + "/notes", "w") as file:
                file.write("{SECRET.decode()}")
            print("{SECRET.decode()}", flush=True)
            return [os.getpid(), os.getppid(), os.environ["TMPDIR"]]
'''


def build(ground: Path) -> Scene:
    """The ground of the battle: submissions, a store, logs, and a home with a secret."""
    scene = Scene(ground)
    models = ground / "models"
    for name in ("mallory", "alice", "bob"):
        (models / name).mkdir(parents=True)
    shutil.copy(HERE / "attacks.py", models / "mallory" / "attacks.py")
    shutil.copy(HERE / "raiders.py", models / "mallory" / "main.py")
    (models / "alice" / "main.py").write_text(ALICE)
    (models / "bob" / "main.py").write_bytes(SECRET)  # a rival whose code does not load
    (ground / "game.db").write_bytes(SECRET)
    return scene


def told(scene: Scene, victim: int, rivals_home: str) -> dict:
    models = scene.ground / "models"
    places = {"ground": scene.ground, "home": scene.home, "secret": scene.secret, "rivals_home": rivals_home}
    places |= {"submission": models / "mallory", "rival": models / "bob"}
    return {
        **{name: str(place) for name, place in places.items()},
        "tcp": list(scene.tcp.getsockname()),
        "udp": list(scene.udp.getsockname()),
        "abstract": scene.abstract.getsockname().hex(),
        "memory": ctypes.addressof(scene.memory),
        "victim": victim,
    }


async def main(order: dict) -> None:
    scene = build(Path(order["ground"]))
    sandboxed = order["sandboxed"]
    host = ProcessHost(sandbox=Sandbox() if sandboxed else None, logs=scene.ground / "logs")
    policy = Policy(timeout=60, max_consecutive_failures=0, max_consecutive_timeouts=0)
    models = scene.ground / "models"
    found: dict = {"attacks": {}, "memory": {}}
    async with ModelRunner(TrackerBase, models, host=host, policy=policy, ready_timeout=60) as runner:

        async def ask(*what, of: str = "mallory"):
            while True:
                outcome = (await runner.call("predict", *what, models=[of]))[of]
                if outcome.status == "skipped" and runner.models[of].state in ("joining", "restarting"):
                    await anyio.sleep(0.05)
                    continue
                if outcome.error:
                    raise RuntimeError(f"{what}: {outcome.error}")
                return outcome.value

        alice = await ask("who", of="alice")
        victims = {"coordinator": os.getpid(), "server": alice[1], "alice": alice[0]}
        # First, and backwards: what is looked for must not be there for having been spoken of.
        for needle in (os.environ["PASSWORD"], "alice/main", "mallory/main"):
            found["memory"][needle] = await ask("objects", needle[::-1])
        for victim, pid in victims.items():
            for name, attack in ATTACKS.items():
                if attack.sandbox or attack.control == "nobody" or (victim != "coordinator" and name not in ON_OTHERS):
                    continue
                order = ("try_", name, told(scene, pid, alice[2]), sandboxed)
                found["attacks"][f"{name} {victim}"] = await ask(*order)
        found["environment"] = await ask("environment")
        found["descriptors"] = await ask("descriptors")
        found["alice"] = [alice, await ask("who", of="alice")]
    print(json.dumps(found))


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
