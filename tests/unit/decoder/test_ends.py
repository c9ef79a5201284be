import json

import pytest

from compress.decoder.ends import end_tokens
from tests import tiny


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"generation_config.json": {"eos_token_id": [3, 7]}, "config.json": {"eos_token_id": 5}}, [3, 7]),
        ({"generation_config.json": {}, "config.json": {"eos_token_id": 5}}, 5),
        ({"config.json": {"eos_token_id": 0}}, 0),
        ({"config.json": {"eos_token_id": None}, "tokenizer_config.json": {"eos_token": "[SEP]"}}, 3),
        ({"config.json": {}, "tokenizer_config.json": {"eos_token": {"content": "[MASK]"}}}, 4),
        ({"config.json": {}, "tokenizer_config.json": {"eos_token": "not there"}}, 159),
        ({"config.json": {}, "tokenizer_config.json": {}}, 159),
    ],
)
def test_the_end_of_a_text_is_found_where_it_is_written(files, expected, tmp_path):
    tiny.tokenizer(tmp_path)
    for name, values in files.items():
        more = {"vocab_size": 160} if name == "config.json" else {}
        (tmp_path / name).write_text(json.dumps({**more, **values}))
    assert end_tokens(tmp_path) == expected
