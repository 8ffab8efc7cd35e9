"""Where the embedded servers keep their data and sockets. Reads and writes nothing but the secret key."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

DATABASE_NAME = "apportion"


@dataclass(frozen=True)
class Layout:
    """Paths of one APPORTION_HOME."""

    home: Path

    @property
    def sockets(self) -> Path:
        """A short path: a Unix socket's address holds 107 bytes. One folder for each user and home, mode 0700."""
        mark = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path("/tmp") / f"apportion-{os.getuid()}-{mark}"

    @property
    def postgres_socket_dir(self) -> Path:
        return self.sockets / "pg"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"

    def database_url(self, role: str) -> str:
        return f"postgresql://{role}@/{DATABASE_NAME}?host={self.postgres_socket_dir}"

    def broker_url(self) -> str:
        return f"redis+socket://{self.redis_socket}"

    def secret_key(self) -> str:
        """The key kept in this home; made once, mode 0600."""
        path = self.home / "secret_key"
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text(encoding="ascii").strip()
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key := secrets.token_urlsafe(64))
        return key
