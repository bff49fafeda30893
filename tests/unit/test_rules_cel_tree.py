"""Expressions as trees."""

from __future__ import annotations

from cel_expr_python import cel  # type: ignore[import-untyped]

from controller.rules.cel_tree import Node, tree_of

ENV = cel.NewEnv(variables={"event": cel.Type.DYN})


def _written(node: Node) -> str:
    """Write a tree with brackets around all parts."""
    inside = " ".join(map(_written, node.parts))
    text = "" if node.text is None else node.text.decode()
    told = " ".join(filter(None, (node.name, node.result, text, inside)))
    return f"({node.kind} {told})" if told else f"({node.kind})"


def _tree(text: str) -> str:
    return _written(tree_of(ENV.compile(text)))


def test_calls_fields_and_constants() -> None:
    event = "(name event)"
    assert _tree("event.a == 'é'") == f"(call _==_ (select a {event}) (constant é))"
    assert _tree("event.a.matches('x')") == f"(call matches (select a {event}) (constant x))"
    assert _tree("size(b'x') in [1, 2u, -3, 1.5, null]") == (
        "(call @in (call size (constant x))"
        " (list (constant) (constant) (constant) (constant) (constant)))"
    )
    assert _tree("has(event.a.b)") == f"(select b (select a {event}))"
    assert _tree("event['a'] ? !event.a : true") == (
        f"(call _?_:_ (call _[_] {event} (constant a)) (call !_ (select a {event})) (constant))"
    )


def test_keys_and_values_of_a_map_take_turns() -> None:
    assert _tree("{'a': 1, event.k: 'b'}") == (
        "(map (constant a) (constant) (select k (name event)) (constant b))"
    )


def test_a_macro_is_the_loop_that_it_stands_for() -> None:
    assert _tree("event.l.map(x, x.a)") == (
        "(loop x @result (select l (name event)) (list) (constant)"
        " (call _+_ (name @result) (list (select a (name x)))) (name @result))"
    )


def test_each_part_knows_its_place() -> None:
    root = tree_of(ENV.compile("'é' == event.k &&\n event.s.matches('a')"))
    assert [(part.name, part.at) for part in root.parts] == [("_==_", 4), ("matches", 34)]


def test_a_constant_has_its_double() -> None:
    root = tree_of(ENV.compile("event.a == -9.5e15 || event.a == 1"))
    assert [part.double for part in root.all()].count(-9.5e15) == 1
    assert sum(abs(part.double) for part in root.all()) == 9.5e15


def test_a_place_beyond_one_byte_is_read() -> None:
    root = tree_of(ENV.compile("'" + "x" * 700 + "' == event.s"))
    assert root.at == 703
    assert root.parts[0].text == b"x" * 700
