"""A tokenizer and the rows of a model that belong to it, cut to a part of the vocabulary."""
