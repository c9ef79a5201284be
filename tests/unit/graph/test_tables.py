"""Tables that are looked up, and who shares them."""

import numpy as np

from compress.graph.edit import Editor
from compress.graph.tables import find_tables
from tests.unit.graphs import matrix, model, node

IDS = {"ids": np.array([[1, 4, 0]])}


def test_look_ups_are_found_through_casts_of_the_indices_and_of_the_table() -> None:
    nodes = [
        node("Cast", ["ids"], "narrow", to=6),
        node("Gather", ["word", "narrow"], "a"),
        node("Identity", ["word"], "same"),
        node("Gather", ["same", "ids"], "b"),
        node("Gather", ["small", "ids"], "c"),
        node("Sum", ["a", "b", "c"], "y"),
    ]
    graph = model(nodes, {"word": matrix(50, 8), "small": matrix(5, 8)}, IDS)
    tables = list(find_tables(Editor(graph), minimum_bytes=1000))
    assert [(table.name, len(table.gathers)) for table in tables] == [("word", 2)]
    assert {table.name for table in find_tables(Editor(graph))} == {"word", "small"}
    assert [table.name for table in find_tables(Editor(graph), exclude=["wo*"])] == ["small"]


def test_other_gathers_are_left() -> None:
    nodes = [
        node("Gather", ["w", "ids"], "a", axis=1),  # columns
        node("Gather", ["w", "three"], "b"),  # known beforehand
        node("Transpose", ["w"], "t", perm=[1, 0]),
        node("Gather", ["t", "ids"], "c"),  # rows of the transpose
        node("Gather", ["cube", "ids"], "d"),
        node("Identity", ["a"], "y"),
    ]
    constants = {"w": matrix(5, 5), "three": np.array([3]), "cube": matrix(5, 5, 5)}
    assert not list(find_tables(Editor(model(nodes, constants, IDS))))


def test_an_output_layer_is_tied_by_name_or_by_its_numbers() -> None:
    word = matrix(20, 8)
    nodes = [
        node("Gather", ["word", "ids"], "h"),
        node("Transpose", ["word"], "t", perm=[1, 0]),
        node("MatMul", ["h", "t"], "by_name"),
        node("MatMul", ["h", "copy"], "by_numbers"),
        node("MatMul", ["h", "other"], "y"),
    ]
    graph = model(nodes, {"word": word, "copy": word.T, "other": matrix(8, 20)}, IDS)
    (table,) = find_tables(Editor(graph))
    assert [linear.y for linear in table.tied] == ["by_name", "by_numbers"]


def test_a_square_table_that_is_not_transposed_is_another_matrix() -> None:
    nodes = [node("Gather", ["w", "ids"], "h"), node("MatMul", ["h", "w"], "y")]
    (table,) = find_tables(Editor(model(nodes, {"w": matrix(8, 8)}, IDS)))
    assert not table.tied
