"""Where the embedded servers keep their data and sockets. Reads and writes nothing but the secret
key.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

DATABASE_NAME = "apportion"
OWNER_ROLE = "apportion_owner"
APP_ROLE = "apportion_app"


@dataclass(frozen=True)
class Layout:
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
