"""What holds for all tests."""

from hypothesis import settings

# No test asserts times, hypothesis's own among them: a busy machine is no failure. The examples are the
# same in every run, so that a change is judged by what it changed; `--hypothesis-profile=random` finds more.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("repeatable")
