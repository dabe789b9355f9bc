from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pfd_operator.kube import clock
from pfd_operator.kube.clock import WINDOW_SECONDS, ServerClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Machine:
    """A node's monotonic clock, and a server elsewhere whose clock says something else."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.step = timedelta()
        self.clock = ServerClock(lambda: self.seconds)

    @property
    def servers(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1000.0) + self.step

    def ask(self, delay: float = 0.0) -> None:
        date = format_datetime(self.servers, usegmt=True)
        self.seconds += delay
        self.clock.answered(date)

    @property
    def error(self) -> float:
        return (self.clock.now() - self.servers).total_seconds()


def test_before_the_first_answer_it_is_our_own():
    assert abs((Machine().clock.now() - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_date_says_nothing(date):
    machine = Machine()
    machine.ask()
    machine.clock.answered(date)
    assert abs(machine.error) <= 0.5


def test_it_follows_the_server_and_no_step_of_our_wall_clock(monkeypatch):
    machine = Machine()
    machine.ask()

    class Stepped(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=5)

    monkeypatch.setattr(clock, "datetime", Stepped)
    machine.seconds += 100
    assert abs(machine.error) <= 0.5


def test_slow_answers_do_not_set_it_back():
    machine = Machine()
    machine.ask()
    for _ in range(20):
        machine.ask(delay=7.0)
        machine.ask()
        assert -0.5 <= machine.error <= 1.0


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_step_of_the_servers_clock_is_followed(hours):
    machine = Machine()
    machine.ask()
    machine.step = timedelta(hours=hours)
    for _ in range(3):
        machine.seconds += WINDOW_SECONDS / 2 + 1
        machine.ask()
    machine.seconds += WINDOW_SECONDS
    machine.ask()
    assert abs(machine.error) <= 0.5
