"""A clock that moves only during a wait, in place of a module's `time`."""


class Clock:
    """Seconds that a test can count."""

    now = 0.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds > 0, "a loop without a pause takes a processor"
        self.now = round(self.now + seconds, 6)
