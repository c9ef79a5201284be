import pytest

from compress.passes.healing import spelled_copies


@pytest.mark.parametrize(("lost", "copies"), [(0.0, 0), (0.0002, 20), (0.001, 100), (0.003, 300), (0.2, 330)])
def test_spelling_is_learned_as_far_as_a_vocabulary_lacks_tokens(lost, copies):
    assert spelled_copies(1000, lost) == copies
