"""A private PostgreSQL for one Prefect server; see scripts/prefect-server.sh.

PostgreSQL listens on a socket in the server's folder and on no port, and its data is in that folder, too. A
separate process, the keeper, ends PostgreSQL when the keeper's standard input ends. The server has the other
end of that pipe, so PostgreSQL ends however the server ends. The keeper also keeps the standard output that it
inherits, so that a reader of the server's output knows at its end that no process is left.

PostgreSQL does not run as root: if the server does, PostgreSQL runs as the user `postgres` or `nobody`, and all
users can pass through (but not read) the server's folder.
"""

import fcntl
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import urllib.parse

# The test's data need not survive a crash of the machine. A socket is enough for one server.
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
"""
LONGEST_SOCKET = 103  # bytes, on macOS; Linux takes a few more


def start(binaries: str, home: str) -> str:
    """Starts a cluster that runs as long as this process, and returns its URL when it is ready."""
    told, tell = os.pipe()
    keeper = subprocess.Popen(
        [sys.executable, __file__, binaries, home, str(tell)],
        stdin=subprocess.PIPE,
        pass_fds=[tell],
        # The signals that the terminal sends to the server must not reach the keeper.
        start_new_session=True,
    )
    os.close(tell)
    with os.fdopen(told) as answer:
        url = answer.read()
    if not url:
        raise SystemExit("PostgreSQL was not started")
    # Keeps the pipe open until this process ends.
    KEPT.append(keeper)
    return url


KEPT: list[subprocess.Popen] = []


def keep(binaries: str, home: str, tell: int) -> None:
    folder = pathlib.Path(home, "postgres")
    folder.mkdir(exist_ok=True)
    # A previous keeper may still be ending.
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster = Cluster(pathlib.Path(binaries), folder)
        url = cluster.start()
        os.write(tell, url.encode())
        os.close(tell)
        while os.read(0, 4096):
            pass
        cluster.stop()


class Cluster:
    def __init__(self, binaries: pathlib.Path, folder: pathlib.Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.binaries = binaries
        self.user = {}
        if os.geteuid() == 0:
            self.user = other_user()
            folder.parent.chmod(0o711)
            os.chown(folder, self.user["user"], self.user["group"])
            self.make_reachable()

    def make_reachable(self) -> None:
        """Copies the programs to the cluster's folder if their user cannot reach them."""
        try:
            command = [self.binaries / "postgres", "--version"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.user)
            return
        except PermissionError:
            copy, base = self.folder / "install", self.binaries.parents[2]
        # A package has its libraries beside itself, and the programs find them by relative paths.
        for part in [self.binaries.parent, *base.glob("*.libs")]:
            if not (copy / part.relative_to(base)).exists():
                shutil.copytree(part, copy / part.relative_to(base), symlinks=True)
        self.binaries = copy / self.binaries.relative_to(base)

    def start(self) -> str:
        longest = self.folder / ".s.PGSQL.5432"
        if len(os.fsencode(longest)) > LONGEST_SOCKET:
            raise SystemExit(f"the path is too long for a socket: {longest}")
        if not (self.data / "PG_VERSION").exists():
            shutil.rmtree(self.data, ignore_errors=True)
            self.run("initdb", "-U", "prefect", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
            with open(self.data / "postgresql.conf", "a", encoding="utf-8") as settings:
                settings.write(SETTINGS.format(folder=str(self.folder).replace("'", "''")))
        elif (self.data / "postmaster.pid").exists():
            # The keeper of this cluster was killed.
            self.run("pg_ctl", "-m", "immediate", "-w", "stop", check=False)
        self.run("pg_ctl", "-w", "-t", "120", "-l", str(self.log), "start")
        return "postgresql+asyncpg://prefect@/postgres?host=" + urllib.parse.quote(str(self.folder))

    def stop(self) -> None:
        self.run("pg_ctl", "-m", "fast", "-w", "stop")

    def run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self.binaries / program), "-D", str(self.data), *arguments]
        # Output goes to a file, because PostgreSQL would hold a pipe open.
        with open(self.folder / "commands.log", "ab") as log:
            status = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.user
            ).returncode
        if status and check:
            for path in (self.folder / "commands.log", self.log):
                if path.exists():
                    sys.stderr.write(path.read_text(errors="replace"))
            raise SystemExit(f"{program} failed")


def other_user() -> dict:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise SystemExit("PostgreSQL does not run as root, and there is no user postgres or nobody")


if __name__ == "__main__":
    keep(sys.argv[1], sys.argv[2], int(sys.argv[3]))
