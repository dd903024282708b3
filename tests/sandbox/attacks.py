"""What hostile code tries, each in a child of the process that it attacks; `python attacks.py JSON` plays them.

An attack returns when it came through, and raises what the kernel answered when it did not. It is never asked whether
it is in a sandbox: the same code runs with and without one, and only without does it come through.
"""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 - nothing can be imported later where nobody may read the interpreter
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crunch_game.sandbox import Sandbox, barrier_of
from crunch_game.sandbox._syscalls import call

SECRET = b"SWORDFISH"
ANSWERS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EXDEV, errno.ENOTSUP, errno.EFBIG, errno.EMFILE)
"""How a refusal looks; anything else is a mistake of the attack."""

ATTACKS: dict[str, Attack] = {}


class Attack:
    def __init__(self, run: Callable[[Scene], object], control: str, sandbox: dict) -> None:
        self.run = run
        self.control = control  # who must come through without a sandbox: "all", "root", "nobody" or ""
        self.sandbox = sandbox


class Scene:
    """A coordinator, this process, and what belongs to it."""

    def __init__(self, ground: Path) -> None:
        self.ground = ground
        self.own, self.submission, self.rival, self.home = (
            ground / name for name in ("own", "submission", "rival", "home")
        )
        for folder in (self.own, self.submission, self.rival, self.home):
            folder.mkdir(exist_ok=True)
        for folder in (self.submission, self.rival):
            (folder / "main.py").write_bytes(SECRET)
        self.secret = self.home / "secret"
        self.secret.write_bytes(SECRET)
        self.victim = os.getpid()
        self.memory = ctypes.create_string_buffer(SECRET)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.bind(str(ground / "stream"))
        self.stream.listen()
        self.datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.datagrams.bind(str(ground / "datagrams"))
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0crunch_game-{os.getpid()}")
        self.abstract.listen()


def attack(control: str = "all", **sandbox):
    def add(run: Callable[[Scene], object]) -> Callable[[Scene], object]:
        ATTACKS[run.__name__] = Attack(run, control, sandbox)
        return run

    return add


# ---- other processes ------------------------------------------------------------------------------------------------


@attack()
def environment_in_proc(scene):
    assert SECRET in Path(f"/proc/{scene.victim}/environ").read_bytes()


@attack(read=["/proc"])
def environment_in_proc_where_proc_is_readable(scene):
    assert SECRET in Path(f"/proc/{scene.victim}/environ").read_bytes()


@attack()
def memory_in_proc(scene):
    with Path(f"/proc/{scene.victim}/mem").open("rb", buffering=0) as memory:
        memory.seek(ctypes.addressof(scene.memory))
        assert memory.read(len(SECRET)) == SECRET


@attack(read=["/proc"])
def memory_map_in_proc_where_proc_is_readable(scene):
    assert Path(f"/proc/{scene.victim}/maps").read_bytes()


@attack()
def folders_through_proc(scene):
    assert os.listdir(f"/proc/{scene.victim}/root")  # noqa: PTH208


@attack()
def descriptors_in_proc(scene):
    assert Path(f"/proc/{scene.victim}/fd/0").readlink()


@attack()
def processes_in_proc(scene):
    assert os.listdir("/proc")  # noqa: PTH208


@attack()
def entries_in_proc(scene):
    """Of another process, what a model may read of itself."""
    names = ("auxv", "cgroup", "cmdline", "comm", "io", "limits", "maps", "smaps", "stat", "statm", "status")
    assert _any_of(*(Path(f"/proc/{scene.victim}/{name}").read_bytes for name in names))


@attack()
def files_through_its_own_root(scene):
    assert Path(f"/proc/self/root{scene.secret}").read_bytes() == SECRET


@attack()
def connections_of_the_machine(scene):
    assert Path("/proc/self/net/tcp").read_bytes()


@attack()
def mounts_of_the_machine(scene):
    assert _any_of(*(Path(f"/proc/self/{name}").read_bytes for name in ("mountinfo", "mounts", "mountstats")))


@attack()
def members_of_a_control_group(scene):
    assert _any_of(*(folder.joinpath("cgroup.procs").read_bytes for folder in _control_groups()))


@attack()
def use_of_a_control_group(scene):
    names = ("memory.stat", "memory.current", "memory.usage_in_bytes", "cpu.stat", "cpuacct.usage", "pids.current")
    assert _any_of(*(folder.joinpath(name).read_bytes for folder in _control_groups() for name in names))


@attack()
def list_a_control_group(scene):
    assert _any_of(*(lambda each=each: os.listdir(each) for each in _control_groups()))  # noqa: PTH208


@attack("root")
def raise_its_own_share(scene):
    names = ("cpu.max", "cpu.cfs_quota_us", "memory.max", "memory.limit_in_bytes")
    files = [file for folder in _control_groups() for name in names if (file := folder / name).exists()]
    assert _any_of(*(lambda file=file: file.open("r+").close() or 1 for file in files))


@attack()
def ptrace(scene):
    call("ptrace", 0x4206, scene.victim, 0, 0)  # PTRACE_SEIZE: the victim goes on


@attack()
def read_memory(scene):
    there, here = ctypes.addressof(scene.memory), ctypes.create_string_buffer(len(SECRET))
    remote = ctypes.create_string_buffer(struct.pack("PN", there, len(SECRET)))
    local = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(here), len(SECRET)))
    call("process_vm_readv", scene.victim, local, 1, remote, 1, 0)
    assert here.raw == SECRET


@attack()
def write_memory(scene):
    data = ctypes.create_string_buffer(SECRET)
    local = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), len(SECRET)))
    remote = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(scene.memory), len(SECRET)))
    call("process_vm_writev", scene.victim, local, 1, remote, 1, 0)


@attack()
def kill(scene):
    os.kill(scene.victim, signal.SIGURG)  # which does nothing by default


@attack()
def kill_with_zero(scene):
    os.kill(scene.victim, 0)


@attack()
def kill_the_group(scene):
    os.killpg(os.getpgid(0), 0)


@attack()
def kill_everyone(scene):
    os.kill(-1, 0)


@attack("root")
def kill_init(scene):
    os.kill(1, 0)


@attack()
def kill_a_thread(scene):
    call("tgkill", scene.victim, scene.victim, signal.SIGURG)


@attack()
def kill_a_thread_the_old_way(scene):
    call("tkill", scene.victim, signal.SIGURG)


@attack()
def queue_a_signal(scene):
    info = ctypes.create_string_buffer(struct.pack("iii", signal.SIGURG, 0, -1), 128)  # SI_QUEUE
    call("rt_sigqueueinfo", scene.victim, signal.SIGURG, info)


@attack()
def kill_by_descriptor(scene):
    signal.pidfd_send_signal(os.pidfd_open(scene.victim), signal.SIGURG)


@attack()
def kill_by_owned_descriptor(scene):
    """F_SETOWN and O_ASYNC make the kernel send a signal of one's choice to a process of one's choice."""
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETOWN, scene.victim)
    fcntl.fcntl(ours, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC)
    theirs.send(b"!")


@attack()
def limit_the_victim(scene):
    resource.prlimit(scene.victim, resource.RLIMIT_CORE, resource.prlimit(scene.victim, resource.RLIMIT_CORE))


@attack()
def slow_the_victim(scene):
    os.setpriority(os.PRIO_PROCESS, scene.victim, min(19, os.getpriority(os.PRIO_PROCESS, scene.victim) + 1))


@attack()
def slow_the_user(scene):
    os.setpriority(os.PRIO_PGRP, 0, os.getpriority(os.PRIO_PGRP, 0))


@attack()
def pin_the_victim(scene):
    os.sched_setaffinity(scene.victim, os.sched_getaffinity(scene.victim))


@attack()
def starve_the_victim_of_disk(scene):
    call("ioprio_set", 1, scene.victim, 2 << 13)  # IOPRIO_WHO_PROCESS, best effort


@attack()
def leave_the_group(scene):
    """Whoever is killed is killed with its group."""
    os.setpgid(0, os.getpgid(os.getppid()))


@attack()
def leave_the_session(scene):
    """A session has a share of the processors of its own, in which niceness counts for nothing."""
    with suppress(PermissionError):
        os.setpgid(0, os.getpgid(os.getppid()))  # who leads a group cannot make a session
    os.setsid()


@attack("root")
def overtake_everyone(scene):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@attack("root")
def raise_priority(scene):
    os.nice(-5)


# ---- files ----------------------------------------------------------------------------------------------------------


@attack()
def read_a_secret(scene):
    assert scene.secret.read_bytes() == SECRET


@attack()
def read_a_rival(scene):
    assert (scene.rival / "main.py").read_bytes() == SECRET


@attack()
def list_home(scene):
    assert os.listdir(scene.home)  # noqa: PTH208


@attack()
def read_through_a_link(scene):
    link = scene.own / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(scene.secret)
    assert link.read_bytes() == SECRET


@attack()
def hard_link_in(scene):
    os.link(scene.secret, scene.own / f"hard{os.getpid()}")


@attack()
def hard_link_the_submission_in(scene):
    os.link(scene.submission / "main.py", scene.own / f"harder{os.getpid()}")


@attack()
def rename_in(scene):
    moved = scene.own / f"moved{os.getpid()}"
    (scene.rival / "main.py").rename(moved)
    moved.rename(scene.rival / "main.py")


@attack()
def rename_out(scene):
    mine = scene.own / f"mine{os.getpid()}"
    mine.write_bytes(b"x")
    mine.rename(scene.rival / mine.name)


@attack()
def link_out(scene):
    (scene.home / f"link{os.getpid()}").symlink_to("/etc")


@attack()
def write_outside(scene):
    (scene.home / "new").write_bytes(b"x")


@attack()
def append_outside(scene):
    with scene.secret.open("ab") as file:
        file.write(b"")


@attack()
def write_own_submission(scene):
    with (scene.submission / "main.py").open("r+b") as file:
        file.write(b"")


@attack()
def empty_a_file(scene):
    target = scene.home / "full"
    os.truncate(target if target.exists() else scene.secret, scene.secret.stat().st_size)


@attack()
def remove_a_file(scene):
    scene.secret.unlink()
    scene.secret.write_bytes(SECRET)


@attack()
def make_a_folder(scene):
    (scene.home / f"folder{os.getpid()}").mkdir()


@attack()
def make_a_nameless_file(scene):
    os.close(os.open(scene.home, os.O_TMPFILE | os.O_RDWR))


@attack()
def change_a_mode(scene):
    _must_change(scene.secret, lambda: scene.secret.chmod(0o611))


@attack()
def change_a_mode_by_descriptor(scene):
    with (scene.submission / "main.py").open("rb") as file:  # readable, and its own
        _must_change(scene.submission / "main.py", lambda: os.fchmod(file.fileno(), 0o611))


@attack()
def change_times(scene):
    _must_change(scene.rival / "main.py", lambda: os.utime(scene.rival / "main.py", (1, 1)))


@attack()
def change_an_owner(scene):
    os.chown(scene.secret, -1, os.getgid())


@attack()
def change_attributes(scene):
    os.setxattr(scene.secret, "user.mark", b"x")


@attack("root")
def make_a_device(scene):
    device = scene.own / f"device{os.getpid()}"
    os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 11))  # /dev/kmsg
    os.close(os.open(device, os.O_RDONLY | os.O_NONBLOCK))


@attack("root")
def open_a_device(scene):
    os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))


@attack()
def take_a_handle(scene):
    call("name_to_handle_at", -100, _text(scene.secret), *_handle(), 0)


@attack("root")
def open_by_handle(scene):
    handle, mount = _handle()
    call("name_to_handle_at", -100, _text(scene.secret), handle, mount, 0)
    folder = os.open(scene.home, os.O_RDONLY)
    assert os.read(call("open_by_handle_at", folder, handle, os.O_RDONLY), 100) == SECRET


@attack()
def watch_a_rival(scene):
    call("inotify_add_watch", call("inotify_init1", 0), _text(scene.rival), 2)


@attack("root")
def watch_everyone(scene):
    call("fanotify_init", 0, 0)


@attack("root")
def change_the_system(scene):
    with Path("/proc/sys/kernel/core_pattern").open("r+"):
        pass


# ---- the network ----------------------------------------------------------------------------------------------------


@attack()
def tcp(scene):
    socket.create_connection(scene.tcp.getsockname()).close()


@attack()
def tcp_server(scene):
    socket.create_server(("127.0.0.1", 0)).close()


@attack(network=True)
def tcp_server_where_there_is_a_network(scene):
    socket.create_server(("127.0.0.1", 0)).close()


@attack(network=True)
def udp_server_where_there_is_a_network(scene):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 0))


@attack()
def udp(scene):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"!", scene.udp.getsockname())


@attack()
def udp6(scene):
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()


@attack("root")
def raw(scene):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


@attack("root", network=True)
def raw_where_there_is_a_network(scene):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


@attack()
def netlink(scene):
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


@attack("root")
def packets(scene):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


@attack("")
def vsock(scene):
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()


@attack()
def unix(scene):
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(str(scene.ground / "stream"))


@attack(network=True)
def unix_where_there_is_a_network(scene):
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(str(scene.ground / "stream"))


@attack()
def abstract(scene):
    with socket.socket(socket.AF_UNIX) as out:
        out.connect(scene.abstract.getsockname())


@attack()
def unix_through_a_pair(scene):
    pair, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    pair.sendto(b"!", str(scene.ground / "datagrams"))


# ---- processes and privileges ---------------------------------------------------------------------------------------


@attack()
def fork(scene):
    _in_child(os.fork())


@attack("")
def vfork(scene):
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        call("vfork")
    else:
        raise PermissionError(errno.EPERM, "aarch64 has no vfork")


@attack()
def clone(scene):
    _in_child(call("clone", int(signal.SIGCHLD), 0, 0, 0, 0))


@attack()
def clone3(scene):
    _in_child(call("clone3", ctypes.create_string_buffer(struct.pack("8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)), 64))


@attack(processes=True)
def child_of_the_fork_server(scene):
    _in_child(call("clone", 0x8000 | signal.SIGCHLD, 0, 0, 0, 0))  # CLONE_PARENT


@attack()
def spawn(scene):
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


@attack()
def execute(scene):
    try:
        os.execv("/nonexistent", ["nonexistent"])
    except FileNotFoundError:
        return  # the kernel has looked for it


@attack()
def user_namespace(scene):
    call("unshare", 0x10000000)


@attack(processes=True)
def user_namespace_by_clone(scene):
    _in_child(call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0))


@attack("root")
def mount(scene):
    call("unshare", 0x20000)
    call("mount", _text("none"), _text("/"), None, 0x44000, None)  # MS_REC | MS_PRIVATE
    call("mount", _text("none"), _text(scene.home), _text("tmpfs"), 0, None)


@attack("root")
def change_root(scene):
    os.chroot(scene.home)


@attack("root")
def change_user(scene):
    os.setuid(12345)


@attack("nobody", processes=True, read=["/proc"])
def setuid_program(scene):
    if "gain" not in _run(scene, str(scene.ground / "setuid-id"), "-u"):
        raise PermissionError(errno.EPERM, "it ran, and gained nothing")


@attack("root", processes=True, read=["/proc"])
def capabilities_of_a_program(scene):
    if int(_run(scene, "/bin/grep", "CapEff", "/proc/self/status").split()[1], 16) == 0:
        raise PermissionError(errno.EPERM, "it ran, and had nothing")


@attack()
def ring(scene):
    call("io_uring_setup", 1, ctypes.create_string_buffer(256))


@attack("root")
def kernel_program(scene):
    call("bpf", 0, ctypes.create_string_buffer(struct.pack("IIII", 2, 4, 4, 1), 128), 128)  # BPF_MAP_CREATE, array


@attack()
def keyring(scene):
    call("add_key", _text("user"), _text("mark"), _text("x"), 1, -2)  # KEY_SPEC_PROCESS_KEYRING


@attack("root")
def page_faults(scene):
    os.close(call("userfaultfd", 0))


@attack()
def other_calls_x32(scene):
    number = 0x40000000 | 39  # getpid
    result = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number))
    if result == -1:
        raise OSError(ctypes.get_errno(), "x32")


ATTACKS["other_calls_x32"].control = ""  # few kernels have them


@attack()
def other_calls_i386(scene):
    if os.uname().machine != "x86_64":
        raise PermissionError(errno.EPERM, "not an x86-64")
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    code.write(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b\xc3")  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    if result < 0:
        raise OSError(-result, "int 0x80")


@attack()
def stall_the_disk(scene):
    call("sync")


# ---- eating the machine ---------------------------------------------------------------------------------------------


@attack()
def take_the_machines_share_of_asynchronous_io(scene):
    call("io_setup", 1, ctypes.byref(ctypes.c_ulong(0)))


@attack(memory=512 << 20)
def memory(scene):
    bytearray(1 << 30)


@attack(memory=512 << 20)
def memory_bit_by_bit(scene):
    [bytearray(1 << 24) for _ in range(64)]


@attack(memory=512 << 20)
def shared_memory(scene):
    mmap.mmap(-1, 1 << 30).close()


@attack(memory=512 << 20)
def stack_memory(scene):
    mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100).close()


@attack(memory=512 << 20)
def memory_file(scene):
    os.close(os.memfd_create("more"))


@attack()
def memory_that_outlives(scene):
    segment = call("shmget", 0x5EC0FFD + os.getpid(), 4096, 0o1000 | 0o600)
    ctypes.CDLL(None).shmctl(segment, 0, None)  # IPC_RMID


@attack()
def queue_that_outlives(scene):
    name = _text(f"crunch{os.getpid()}")
    os.close(call("mq_open", name, os.O_CREAT | os.O_RDWR, 0o600, None))
    ctypes.CDLL(None).syscall(ctypes.c_long({"x86_64": 241, "aarch64": 181}[os.uname().machine]), name)  # mq_unlink


@attack(file_size=1 << 20)
def large_file(scene):
    path = scene.own / f"large{os.getpid()}"
    path.write_bytes(bytes(2 << 20))
    path.unlink()


@attack(descriptors=128)
def many_descriptors(scene):
    [os.dup(0) for _ in range(200)]


@attack()
def raise_a_limit(scene):
    """Control: a soft limit may be raised to the hard one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


# ---- how they are played --------------------------------------------------------------------------------------------


def _must_change(path: Path, change: Callable[[], object]) -> None:
    before = path.stat()
    change()
    after = path.stat()
    if (before.st_mode, before.st_mtime) == (after.st_mode, after.st_mtime):
        raise PermissionError(errno.EPERM, "nothing has changed")


def _any_of(*attempts: Callable[[], object]) -> object:
    """What the first attempt that comes through brings; it is refused only if all are."""
    refusals = []
    for attempt in attempts:
        try:
            return attempt()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refusals.append(error)
    raise refusals[0]


def _control_groups() -> list[Path]:
    """Folders of this process's control groups, as far as they are where they usually are."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    places = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]
    places += [Path("/sys/fs/cgroup", controllers) for _, controllers, _ in lines if controllers]
    return [each for place in places for _, _, path in lines for each in (place, place / path.lstrip("/"))]


def _text(value: object) -> ctypes.Array:
    return ctypes.create_string_buffer(os.fsencode(str(value)))


def _handle() -> tuple[ctypes.Array, ctypes.Array]:
    return ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 256), ctypes.create_string_buffer(4)


def _in_child(pid: int) -> None:
    if pid == 0:
        os._exit(0)
    with suppress(ChildProcessError):  # it is another's child: CLONE_PARENT
        os.waitpid(pid, 0)


def _run(scene: Scene, *command: str) -> str:
    """The output of a program; "gain" for the user id 0."""
    read, write = os.pipe()
    pid = os.posix_spawn(command[0], list(command), {}, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)])
    os.waitpid(pid, 0)
    os.close(write)
    text = os.read(read, 1000).decode()
    return "gain" if text.strip() == "0" else text


def play_in_a_child(name: str, scene: Scene, *, sandboxed: bool, before: Callable[[], object] = int) -> dict:
    """What became of one attack, made by a child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            before()
            os.setpgid(0, 0)
            os.write(write, json.dumps(play(name, scene, sandboxed=sandboxed)).encode())
        except BaseException:  # noqa: BLE001 - a mistake of the attack, for whoever reads the log
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else _outcome(name, f"ended with status {status}")


def reap_the_orphans() -> None:
    """Children that a child has left to this process."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _outcome(
    name: str, error: str | None, *, through: bool = False, refused: bool = False, barrier: str | None = None
) -> dict:
    control = ATTACKS[name].control
    return {"through": through, "error": error, "refused": refused, "barrier": barrier, "control": control}


def play(name: str, scene: Scene, *, sandboxed: bool) -> dict:
    """What became of one attack, made by this process."""
    attack = ATTACKS[name]
    if sandboxed:
        extra = {"read": ["/bin", "/usr/bin", str(scene.ground / "setuid-id")]} if "processes" in attack.sandbox else {}
        read = [*extra.get("read", []), *attack.sandbox.get("read", [])]
        Sandbox(**{**attack.sandbox, "read": read}).enter([scene.submission], [scene.own])
    try:
        attack.run(scene)
    except (OSError, MemoryError) as error:
        number = getattr(error, "errno", errno.ENOMEM)
        refused = isinstance(error, MemoryError) or number in ANSWERS
        return _outcome(name, repr(error), refused=refused, barrier=barrier_of(error))
    except ValueError as error:  # setrlimit
        return _outcome(name, repr(error), refused="limit" in str(error))
    return _outcome(name, None, through=True)


def core_dump(scene: Scene, *, sandboxed: bool) -> bool:
    """Whether a crash leaves a core dump."""
    pid = os.fork()
    if pid == 0:
        os.chdir(scene.own)
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        if sandboxed:
            Sandbox().enter([], [scene.own])
        os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), status
    return os.WCOREDUMP(status)


def main(order: dict) -> None:
    scene, sandboxed = Scene(Path(order["ground"])), order["sandboxed"]
    if sandboxed:
        Sandbox().prepare()

    def forget() -> None:
        """In the child, which has a copy: what belongs to the victim must be read from the victim."""
        ctypes.memset(scene.memory, 0, len(SECRET))

    outcomes = {}
    for name, attack in ATTACKS.items():
        if attack.control != "nobody" or order["user"] == "nobody":
            outcomes[f"{name} coordinator"] = play_in_a_child(name, scene, sandboxed=sandboxed, before=forget)
            reap_the_orphans()
    print(json.dumps({"attacks": outcomes, "core": core_dump(scene, sandboxed=sandboxed)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
