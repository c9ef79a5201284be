"""What holds for all tests."""

from hypothesis import settings

# No test asserts times, hypothesis's own among them: a busy machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
