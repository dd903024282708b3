"""The sandbox on this machine: friendly code works in it, and what holds is told. `test_attacks.py` has the hostile."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from crunch_game.errors import GameError
from crunch_game.sandbox import Sandbox, barrier_of
from crunch_game.sandbox._syscalls import Unavailable, machine

HERE = Path(__file__).parent
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def _has_everything() -> str | None:
    """Why the attacks cannot be tried here."""
    from crunch_game.sandbox import _landlock as landlock

    try:
        machine()
        version = landlock.abi()
    except Unavailable as error:
        return str(error)
    return None if version >= 3 else f"the kernel's Landlock is of version {version}"


WHY_NOT = _has_everything()
needs_linux = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that every user reaches, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="crunch_game-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_outside_a_sandbox_no_error_has_a_barrier() -> None:
    for error in (PermissionError(errno.EACCES, "no", "/etc/shadow"), MemoryError(), OSError(errno.EMFILE, "many")):
        assert barrier_of(error) is None


# ---- code that means no harm ----------------------------------------------------------------------------------------


def inside(
    ground: Path, body: str, *, before: str = "", sandbox: str = "", env: dict | None = None
) -> subprocess.CompletedProcess:
    """Run code in a sandbox in a fresh interpreter; its own folder is the variable `own`."""
    (ground / "own").mkdir(exist_ok=True)
    (ground / "secret").write_text("secret")
    program = "\n".join(
        [
            "import os, sys, json, tempfile",
            f"own, ground = {str(ground / 'own')!r}, {str(ground)!r}",
            "from crunch_game.sandbox._sandbox import Sandbox",
            "from crunch_game.sandbox._barriers import barrier_of",
            textwrap.dedent(before),
            f"Sandbox({sandbox}).enter([], [own])",
            textwrap.dedent(body),
        ]
    )
    own = str(ground / "own")
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TMPDIR": own, "HOME": own, **(env or {})}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd="/", capture_output=True, text=True, check=False
    )


FRIENDLY = {
    "numpy, with threads": """
        import numpy as np
        a = np.random.default_rng(1).random((500, 500))
        assert np.allclose(np.linalg.inv(a) @ a, np.eye(500))
    """,
    "scipy": """
        from scipy import optimize, stats
        assert abs(optimize.minimize(lambda x: (x - 1) ** 2, [0.0]).x[0] - 1) < 1e-3
        stats.norm.fit([1.0, 2.0, 3.0])
    """,
    "pandas, with files and time zones": """
        import pandas as pd
        table = pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2, tz="Europe/Paris"))
        table.to_csv(own + "/table.csv"), table.to_pickle(own + "/table.pkl")
        assert pd.read_pickle(own + "/table.pkl").equals(table)
    """,
    "pyarrow, with threads": """
        import pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
        pq.write_table(pa.table({"a": range(100_000)}), own + "/table.parquet")
        assert pc.sum(pq.read_table(own + "/table.parquet")["a"]).as_py() == 4999950000
    """,
    "threads and pools of them": """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        from multiprocessing.dummy import Pool
        from multiprocessing.pool import ThreadPool
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(abs, range(100))) == 4950
        for make in (Pool, ThreadPool):
            with make(4) as pool:
                assert pool.map(abs, [-1, -2]) == [1, 2]
        import multiprocessing
        with multiprocessing.RLock(): pass
    """,
    "temporary files, copies and archives": """
        import shutil
        folder = tempfile.mkdtemp()
        assert folder.startswith(own)
        with open(folder + "/a", "w") as file: file.write("x")
        shutil.copy2(folder + "/a", folder + "/b"), shutil.copytree(folder, own + "/tree")
        os.rename(folder + "/b", own + "/c"), os.truncate(own + "/c", 0), os.link(own + "/c", own + "/d")
        shutil.unpack_archive(shutil.make_archive(own + "/packed", "gztar", folder), own + "/unpacked")
        shutil.rmtree(folder)
        with tempfile.TemporaryFile() as file: file.write(b"x")
    """,
    "sqlite3": """
        import sqlite3
        base = sqlite3.connect(own + "/base.db")
        base.execute("pragma journal_mode=wal"), base.execute("create table t (a)"), base.commit(), base.close()
        assert sqlite3.connect(own + "/base.db").execute("select count(*) from t").fetchall() == [(0,)]
    """,
    "what asks about the machine": """
        import ctypes.util, locale, mimetypes, platform, ssl, time, urllib.request, uuid, zoneinfo
        locale.setlocale(locale.LC_ALL, ""), ssl.create_default_context(), time.localtime()
        zoneinfo.ZoneInfo("America/New_York"), uuid.uuid1(), mimetypes.guess_type("a.html")
        ctypes.util.find_library("c")
        assert os.cpu_count() >= 1 and platform.platform() and platform.processor() is not None
    """,
    "what asks for its share of the machine": """
        import joblib, psutil
        assert joblib.cpu_count() >= 1
        me = psutil.Process()
        for name in ("memory_full_info", "io_counters", "num_fds", "num_threads", "cpu_times", "cmdline", "as_dict"):
            assert getattr(me, name)() is not None
        assert psutil.virtual_memory().total and psutil.swap_memory() and psutil.cpu_count(logical=False)
        assert open(f"/proc/{os.getpid()}/status").read() and os.listdir("/proc/self/fd")
    """,
    "asyncio": """
        import asyncio
        async def main(): return await asyncio.to_thread(abs, -3)
        assert asyncio.run(main()) == 3
    """,
    "signals to itself": """
        import signal, threading
        heard = []
        signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
        signal.raise_signal(signal.SIGUSR1), os.kill(os.getpid(), signal.SIGUSR1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        threading.Thread(target=signal.raise_signal, args=[signal.SIGUSR1]).start()
        while len(heard) < 4: pass
        os.nice(1), os.sched_setaffinity(0, os.sched_getaffinity(0))
    """,
    "null and random devices": """
        with open(os.devnull, "w") as null: null.write("x")
        assert len(open("/dev/urandom", "rb").read(8)) == 8
    """,
}


@pytest.mark.processes
@needs_linux
@pytest.mark.parametrize("sandbox", ["", "memory=4 << 30"], ids=["", "with limited memory"])
def test_friendly_code_works(ground: Path, sandbox: str) -> None:
    """All of it in one process; each library is imported when the sandbox has been entered."""
    parts = {name: textwrap.indent(textwrap.dedent(code), "    ") for name, code in FRIENDLY.items()}
    body = "\n".join(f"def part():\n{code}\npart(), print({name!r})" for name, code in parts.items())
    done = inside(ground, body, sandbox=sandbox, env={"OPENBLAS_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == list(FRIENDLY)


@pytest.mark.processes
@needs_linux
def test_a_subprocess_is_a_clean_permission_error(ground: Path) -> None:
    body = """
        import subprocess
        try: subprocess.run(["/bin/true"])
        except PermissionError as error: print(barrier_of(error))
    """
    assert inside(ground, body).stdout.startswith("the sandbox allows no processes and no programs;")


@pytest.mark.processes
@needs_linux
def test_threads_that_start_later_are_inside(ground: Path) -> None:
    body = """
        import threading, socket
        found = []
        def attack():
            for attempt in (socket.socket, os.fork, lambda: open(ground + "/secret")):
                try: attempt()
                except PermissionError: found.append(1)
        threads = [threading.Thread(target=attack) for _ in range(3)]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
        print(len(found))
    """
    assert inside(ground, body).stdout == "9\n"


@pytest.mark.processes
@needs_linux
def test_a_network_is_for_connections_to_others(ground: Path) -> None:
    before = """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
    """
    body = """
        with socket.create_connection(server.getsockname()) as connection: connection.send(b"x")
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", udp.getsockname())
        assert udp.recv(1) == b"x"
        socket.getaddrinfo("localhost", 80)
    """
    done = inside(ground, body, before=before, sandbox="network=True")
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
@needs_linux
def test_processes_stay_in_the_same_sandbox(ground: Path) -> None:
    body = """
        import subprocess, multiprocessing, signal
        assert subprocess.run(["/bin/echo", "hi"], capture_output=True, text=True).stdout == "hi\\n"
        assert subprocess.run(["/bin/cat", ground + "/secret"], stderr=subprocess.DEVNULL).returncode == 1
        child = subprocess.Popen(["/bin/sleep", "100"])
        child.kill(), child.wait()
        try: os.kill(os.getppid(), 0)
        except PermissionError: pass
        else: raise AssertionError("its parent is outside")
    """
    done = inside(ground, body, sandbox="processes=True")
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
@needs_linux
def test_an_author_gives_further_paths(ground: Path) -> None:
    for name in ("data", "shared"):
        (ground / name).mkdir()
        (ground / name / "file").write_text("x")
    body = """
        assert open(ground + "/data/file").read() == "x"
        open(ground + "/shared/new", "w").write("y")
        try: open(ground + "/data/file", "w")
        except PermissionError as error: print(barrier_of(error))
    """
    sandbox = f"read=[{str(ground / 'data')!r}], write=[{str(ground / 'shared')!r}]"
    done = inside(ground, body, sandbox=sandbox)
    assert done.stdout == f"the sandbox lets a model write only in {ground}/own; this is {ground}/data/file\n", (
        done.stderr
    )


@pytest.mark.processes
@needs_linux
def test_of_the_authors_own_folder_only_what_was_imported_can_be_read(ground: Path) -> None:
    project = ground / "project"
    for path, text in {
        "game/__init__.py": "", "game/later.py": "", "game.db": "", "helpers.py": "", "rivals/main.py": "",
    }.items():  # fmt: skip
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    before = f"sys.path.insert(0, {str(project)!r}); import game"
    body = f"""
        import game.later
        for path in ("rivals/main.py", "game.db"):
            try: open({str(project)!r} + "/" + path)
            except PermissionError: print("refused")
        import importlib
        for clear in (list, importlib.invalidate_caches):  # the folder's listing is remembered at first
            clear()
            try: import helpers
            except (ImportError, PermissionError) as error: print(barrier_of(error))
    """
    sentence = (
        f"the sandbox lets a model import from {project} only what the game has imported already, "
        "and helpers is not; the game's author adds it with ProcessHost(preload=['helpers'])"
    )
    done = inside(ground, body, before=before)
    assert done.stdout.splitlines() == ["refused", "refused", sentence, sentence], done.stderr


@pytest.mark.processes
@needs_linux
def test_an_error_of_other_cause_has_no_barrier(ground: Path) -> None:
    errors = [
        "open('/nonexistent')",
        "(_ for _ in ()).throw(PermissionError(1, 'of its own'))",
        "(_ for _ in ()).throw(PermissionError(13, 'of its own'))",
        "open(own)",
        "1 / 0",
        "__import__('nonexistent')",
        "(_ for _ in ()).throw(type('Odd', (OSError,), {'errno': property(lambda self: 1 / 0)})())",
    ]
    body = "\n".join(f"try: {error}\nexcept Exception as error: print(barrier_of(error))" for error in errors)
    done = inside(ground, body)
    assert done.stdout.splitlines() == ["None"] * len(errors), done.stderr


@pytest.mark.processes
@needs_linux
def test_a_file_that_its_own_permissions_keep_is_not_the_sandboxes_doing(ground: Path) -> None:
    if not ROOT:
        pytest.skip("needs root to become another user")
    before = """
        open(ground + "/kept", "w").close(), os.chmod(ground + "/kept", 0)
        import encodings.idna, traceback, linecache, ast
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
    """
    body = "try: open(ground + '/kept')\nexcept PermissionError as error: print(barrier_of(error))"
    done = inside(ground, body, before=before)
    assert done.stdout == "None\n", done.stderr


@pytest.mark.processes
@needs_linux
def test_what_a_library_makes_of_a_refusal_still_names_the_network(ground: Path) -> None:
    calls = [
        "urllib.request.urlopen('http://example.com')",
        "socket.getaddrinfo('example.com', 80)",
        "urllib.request.urlopen('http://127.0.0.1')",
        "socket.create_connection(('127.0.0.1', 80))",
    ]
    body = "\n".join(f"try: {call}\nexcept OSError as error: print(barrier_of(error))" for call in calls)
    sentence = "the sandbox allows no network; a game that needs it says Sandbox(network=True)"
    done = inside(ground, f"import socket, urllib.request\n{body}")
    assert done.stdout.splitlines() == [sentence] * len(calls), done.stderr


def told(ground: Path, attempts: list[str], *, sandbox: str = "") -> list[str]:
    """The barriers of what these attempts raise; they are in a file, as a participant's code is."""
    (ground / "own").mkdir()
    (ground / "beside").mkdir()
    lines = "\n".join(f"    lambda: {attempt}," for attempt in attempts)
    (ground / "own" / "attempts.py").write_text(f"{HELP}\nATTEMPTS = [\n{lines}\n]\n")
    body = """
        sys.path.insert(0, own)
        from attempts import ATTEMPTS
        for attempt in ATTEMPTS:
            try: attempt()
            except Exception as error: print(barrier_of(error))
            else: print("nothing was raised")
    """
    done = inside(ground, body, sandbox=sandbox)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


HELP = """
import ctypes, multiprocessing, os, pathlib, sqlite3, subprocess
import duckdb, joblib.externals.loky, lightgbm, polars, sqlalchemy

own = str(pathlib.Path(__file__).parent)
ground = str(pathlib.Path(own).parent)
beside, secret = ground + "/beside/new", ground + "/secret"

class Kept:
    database = beside

class Wrapped(Exception):
    def __init__(self, inner):
        super().__init__("it did not work")
        self.inner = inner

def raised(error):
    raise error

def wrapped(attempt):
    try:
        attempt()
    except OSError as error:
        raise Wrapped(error) from None

def in_its_base(self):
    sqlite3.connect(self.database)
"""
READS = "the sandbox lets a model read only its submission, and write only in {ground}/own; this is {ground}/"
NO_NETWORK = "the sandbox allows no network; a game that needs it says Sandbox(network=True)"
NO_PROCESSES = "the sandbox allows no processes and no programs; a game that needs them says Sandbox(processes=True)"
NOT_SHARED = (
    "the sandbox gives models no memory that others could see; a game that needs it says Sandbox(write=['/dev/shm'])"
)
REFUSED = {
    "sqlite3.connect(beside)": READS + "beside/new",
    "sqlite3.connect(database=beside)": READS + "beside/new",
    **dict.fromkeys(
        (
            "sqlite3.connect(pathlib.Path(beside).parent / 'new')",
            "sqlite3.connect(str(pathlib.Path(ground) / 'beside' / 'new'))",
            "sqlite3.connect(os.path.join(os.path.dirname(beside), 'new'))",
            "sqlite3.connect(pathlib.Path(__file__).resolve().parent.parent.joinpath('beside', 'new'))",
            "sqlite3.connect(f'{ground}/beside/new')",
            "sqlite3.connect(ground + '/beside/' + 'new')",
        ),
        READS + "beside/new",
    ),
    "in_its_base(Kept())": None,  # an attribute of its class, which only running code would tell
    "sqlalchemy.create_engine('sqlite:///' + beside).connect()": READS + "beside/new",
    "duckdb.connect(beside)": READS + "beside/new",
    "duckdb.sql(f\"select * from read_csv('{secret}')\").fetchall()": READS + "secret",
    "duckdb.sql('install httpfs')": NO_NETWORK,
    "polars.DataFrame({'a': [1]}).write_csv(beside)": READS + "beside/new",
    "polars.read_csv(secret)": READS + "secret",
    "lightgbm.Booster(model_file=secret)": READS + "secret",
    "ctypes.CDLL(secret)": READS + "secret",
    "wrapped(lambda: open(secret))": READS + "secret",
    "wrapped(lambda: subprocess.run(['gcc']))": NO_PROCESSES,
    "multiprocessing.Pool(2)": NO_PROCESSES,
    "joblib.externals.loky.get_reusable_executor(2)": NO_PROCESSES,
    "raised(RuntimeError('unable to open shared memory object </torch_1>: Permission denied (13)'))": NOT_SHARED,
}
NOT_REFUSED = [
    "sqlite3.connect(own + '/nowhere/new')",
    "sqlite3.connect(ground + '/nowhere/new')",
    "sqlite3.connect(pathlib.Path(own) / 'nowhere' / 'new')",
    "sqlite3.connect(pathlib.Path(own, *['nowhere', 'new']))",
    "sqlite3.connect(pathlib.Path(own).parent / ''.join(['nowhere', '/new']))",
    "sqlite3.connect(own + '/base').execute('select * from missing')",
    "duckdb.sql(f\"select * from read_csv('{own}/missing.csv')\")",
    "duckdb.connect(own + '/attempts.py')",
    "polars.read_csv(ground + '/missing')",
    "lightgbm.Booster(model_file=ground + '/missing')",
    "lightgbm.Booster(model_file=own + '/attempts.py')",
    "ctypes.CDLL(own + '/attempts.py')",
    "raised(ValueError('the third line of ' + secret + ' has no price'))",
    "raised(RuntimeError('permission denied: ' + own + '/attempts.py'))",
    "raised(RuntimeError('permission denied'))",
    "raised(RuntimeError('could not open the position'))",
    "raised(RuntimeError('cannot connect the dots'))",
    "raised(KeyError(secret))",
    "raised(OSError(38, 'Function not implemented'))",
]


@pytest.mark.processes
@needs_linux
def test_a_refusal_is_told_however_a_library_says_it(ground: Path) -> None:
    said = told(ground, list(REFUSED))
    assert dict(zip(REFUSED, said, strict=True)) == {
        attempt: str(sentence and sentence.format(ground=ground)) for attempt, sentence in REFUSED.items()
    }


@pytest.mark.processes
@needs_linux
def test_no_barrier_is_named_for_an_error_that_only_looks_like_one(ground: Path) -> None:
    said = told(ground, NOT_REFUSED)
    assert dict(zip(NOT_REFUSED, said, strict=True)) == dict.fromkeys(NOT_REFUSED, "None")


@pytest.mark.processes
@needs_linux
def test_where_processes_are_allowed_a_lock_that_they_would_share_names_its_place(ground: Path) -> None:
    attempts = ["multiprocessing.Lock()", "multiprocessing.Pool(2)", "multiprocessing.Queue()"]
    assert told(ground, attempts, sandbox="processes=True") == [NOT_SHARED] * 3


@pytest.mark.processes
@needs_linux
def test_what_it_may_read_of_proc_it_may_read_when_the_kernel_has_dropped_it_from_its_cache(ground: Path) -> None:
    drop = Path("/proc/sys/vm/drop_caches")
    if not ROOT or not os.access(drop, os.W_OK):
        pytest.skip("only root may empty the kernel's cache of names")
    before = """
        from crunch_game.sandbox._readable import _OWN, _SYSTEM
        mine = [*_OWN, *(path.replace("self", str(os.getpid())) for path in _OWN)]
        files = [path for path in (*mine, *_SYSTEM) if path.startswith("/proc/") and os.path.isfile(path)]
        drop = os.open("/proc/sys/vm/drop_caches", os.O_WRONLY)
    """
    body = """
        for path in files: open(path).close()
        os.write(drop, b"2")
        for path in files: open(path).close()
        print(len(files) > 20)
    """
    done = inside(ground, body, before=before)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.processes
@needs_linux
def test_a_process_with_threads_cannot_enter(ground: Path) -> None:
    before = "import threading, time; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert (
        "UsageError: a sandbox must be entered before any thread is started" in inside(ground, "", before=before).stderr
    )


# ---- machines that lack something -----------------------------------------------------------------------------------

# Filters that answer for an older kernel, loaded around the whole program.
WITHOUT_LANDLOCK = """
    from crunch_game.sandbox import _syscalls as syscalls, _seccomp as seccomp
    import ctypes, struct
    def without(rules):
        packed = b"".join(struct.pack("HBBI", *each) for each in seccomp.program(rules))
        code = ctypes.create_string_buffer(packed, len(packed))
        syscalls.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
        header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(packed) // 8, ctypes.addressof(code)))
        syscalls.call("seccomp", 1, 0, header)
    without({444: [(6, 0, 0, 0x50000 | 38)]})
"""
WITHOUT_SECCOMP = WITHOUT_LANDLOCK.replace(
    "{444: [(6, 0, 0, 0x50000 | 38)]}",
    "{{'x86_64': 157, 'aarch64': 167}[syscalls.machine()]: [(0x20, 0, 0, 16), (0x15, 0, 1, 21), (6, 0, 0, 0x50016),"
    " (6, 0, 0, 0x7FFF0000)]}",
)
REPORT = "print(json.dumps({barrier.name: [barrier.enforced, barrier.why_not] for barrier in Sandbox().report()}))"


@pytest.mark.processes
@needs_linux
def test_without_landlock_the_rest_holds(ground: Path) -> None:
    body = """
        import socket
        open(ground + "/secret").close()
        try: socket.socket()
        except PermissionError as error: print(barrier_of(error))
    """
    done = inside(ground, body, before=WITHOUT_LANDLOCK)
    assert done.stdout.startswith("the sandbox allows no network"), done.stderr


@pytest.mark.processes
@needs_linux
def test_without_seccomp_the_rest_holds(ground: Path) -> None:
    body = """
        import socket
        socket.socket().close()
        try: open(ground + "/secret")
        except PermissionError as error: print(barrier_of(error))
    """
    done = inside(ground, body, before=WITHOUT_SECCOMP)
    assert done.stdout.startswith("the sandbox lets a model read only"), done.stderr


@pytest.mark.processes
@needs_linux
def test_the_report_tells_what_a_machine_lacks(ground: Path) -> None:
    lacking = json.loads(inside(ground, "", before=textwrap.dedent(WITHOUT_LANDLOCK) + REPORT).stdout)
    assert lacking["read files of others"] == [False, "the kernel has no Landlock (Linux 5.13 and later have it)"]
    assert lacking["use UDP"] == [True, None]
    lacking = json.loads(inside(ground, "", before=textwrap.dedent(WITHOUT_SECCOMP) + REPORT).stdout)
    assert lacking["read files of others"] == [True, None]
    assert lacking["use UDP"] == [False, "the kernel has no seccomp (CONFIG_SECCOMP_FILTER)"]


@pytest.mark.processes
@needs_linux
def test_the_report_tells_what_holds_and_what_never_does() -> None:
    barriers = {barrier.name: barrier for barrier in Sandbox(memory=1 << 30, cpu=60).report()}
    assert {name for name, barrier in barriers.items() if not barrier.enforced} == {
        "fill the disk with many files",
        "see that a file exists, its size and times",
        "start very many threads",
        "use more memory than it may, whatever its tricks",
    }
    assert all(barrier.enforced == (barrier.why_not is None) for barrier in barriers.values())


@pytest.mark.processes
@needs_linux
def test_the_report_tells_what_a_game_gives_up() -> None:
    barriers = {barrier.name: barrier for barrier in Sandbox(network=True, memory=None).report()}
    assert barriers["use TCP"].why_not == "the game allows it: Sandbox(network=True)"
    assert barriers["allocate more memory than it may"].why_not == "the game allows it: Sandbox(memory=None)"
    assert barriers["connect to Unix sockets"].enforced


def test_elsewhere_the_report_says_that_nothing_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    barriers = Sandbox().report()
    assert barriers
    assert not any(barrier.enforced for barrier in barriers)
    assert barriers[0].why_not == "darwin has no such thing; it needs Linux"


@pytest.mark.processes
@needs_linux
def test_every_version_of_landlock_is_asked_only_for_what_it_has(ground: Path) -> None:
    from crunch_game.sandbox import _landlock as landlock

    body = """
        for attempt in (lambda: open(ground + "/secret"), lambda: open(ground + "/new", "w")):
            try: attempt()
            except PermissionError: print("refused")
        open(own + "/new", "w").write("x")
    """
    for version in range(1, landlock.abi() + 1):
        before = f"from crunch_game.sandbox import _landlock as landlock; landlock.abi = lambda: {version}"
        done = inside(ground, body, before=before)
        assert done.stdout == "refused\nrefused\n", (version, done.stderr)


# ---- the parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"memory": 1000}, "Sandbox.memory is 1000; it must be bytes, at least 67108864 (Python and its libraries take "
         "that much), or None for no limit"),
        ({"cpu": 0}, "Sandbox.cpu is 0; it must be whole seconds, 1 or more, or None for no limit"),
        ({"file_size": -1}, "Sandbox.file_size is -1; it must be bytes, 0 or more"),
        ({"descriptors": 3}, "Sandbox.descriptors is 3; Python and its libraries need 64 or more"),
        ({"read": "/data"}, "Sandbox.read is '/data'; it must be a list of paths"),
        ({"write": ["/nonexistent/x"]}, "Sandbox.write has /nonexistent/x, which does not exist"),
    ],
)  # fmt: skip
def test_a_wrong_description_is_a_sentence(fields: dict, sentence: str) -> None:
    with pytest.raises(GameError) as caught:
        Sandbox(**fields)
    assert str(caught.value) == sentence


def test_a_sandbox_travels(tmp_path: Path) -> None:
    sandbox = Sandbox(read=[tmp_path], network=True, memory=1 << 30)
    assert sandbox.read == (str(tmp_path),)
    assert pickle.loads(pickle.dumps(sandbox)) == sandbox
    assert hash(sandbox) == hash(pickle.loads(pickle.dumps(sandbox)))
