"""When the supervisor starts a child again, and when it gives the portal up."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from portal.embedded.supervisor import QUICK_ENDS, Child, Program
from portal.errors import Refused

FAILS = (sys.executable, "-S", "-c", "print('no such module', flush=True); raise SystemExit(3)")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def failing(servers: None, said: list[str]) -> Iterator[Child]:
    """A child that ends right after each start."""
    child = Child(Program("failing", FAILS, signal.SIGTERM, signal.SIGKILL), said.append)
    yield child
    child.end_group()
    child.log.unlink(missing_ok=True)


def look_after_until(child: Child, said: list[str], *, ends: int) -> None:
    deadline = time.monotonic() + 60
    while len(said) < ends:
        assert time.monotonic() < deadline, said
        child.not_before = 0.0  # the pauses themselves are not what is looked at
        child.look_after()
        time.sleep(0.01)


def test_child_that_never_worked_is_given_up_with_what_its_log_says(
    failing: Child, said: list[str]
) -> None:
    with pytest.raises(
        Refused, match=r"failing ended 5 times right after its start\. .*\nno such module"
    ):
        look_after_until(failing, said, ends=QUICK_ENDS)

    assert len(said) == QUICK_ENDS - 1


def test_child_that_has_worked_is_never_given_up(failing: Child, said: list[str]) -> None:
    failing.has_worked = True

    look_after_until(failing, said, ends=3 * QUICK_ENDS)

    assert failing.not_before - time.monotonic() <= 5
