"""What is told of an exporter's failure."""

from compress.model.quiet import exporters_cause


def test_the_cause_is_the_innermost_first_sentence_in_plain_text():
    advice = RuntimeError("\x1b[96mThis is step 1/3\x1b[0m of exporting.\nNext steps: modify the code")
    try:
        try:
            raise ValueError("\n\x1b[31mdata-dependent\x1b[0m shape u0\nadvice that nobody asked for")
        except ValueError as error:
            raise advice from error
    except RuntimeError as error:
        assert exporters_cause(error) == "ValueError: data-dependent shape u0"
    assert exporters_cause(KeyError()) == "KeyError: no message"
