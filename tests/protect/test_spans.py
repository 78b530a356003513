"""The scanner against the standard library's parser, on documents made at random."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.protect.spans import DEEPEST, MalformedError, Node, scan, splice

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=8) | st.lists(FLOATS, max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)
BLANK = st.text(" \t\r\n", max_size=2)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """JSON texts with any white space, escapes and repeated names."""

    def show(value: object) -> str:
        before, after = draw(BLANK), draw(BLANK)
        if isinstance(value, dict):
            rows = [f"{draw(BLANK)}{name(key)}{draw(BLANK)}:{show(item)}" for key, item in value.items()]
            if rows and draw(st.booleans()):
                rows.append(rows[0])
            return f"{before}{{{','.join(rows) or draw(BLANK)}}}{after}"
        if isinstance(value, list):
            return f"{before}[{','.join(map(show, value)) or draw(BLANK)}]{after}"
        return f"{before}{name(value)}{after}"

    def name(value: object) -> str:
        if isinstance(value, float) and draw(st.booleans()):
            return f"{value:.17E}"
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    return show(draw(VALUES))


def agree(body: bytes, node: Node, value: object) -> None:
    """A node's bytes parse to the value, and so do its parts."""
    assert json.loads(body[node.start : node.end]) == value
    if isinstance(value, dict):
        assert {name: json.loads(body[item.start : item.end]) for name, item in node.members} == value
        last = dict(node.members)
        for name, item in value.items():
            agree(body, last[name], item)
    elif node.kind == "numbers":
        assert value
        assert all(isinstance(item, int | float) for item in value)
    elif isinstance(value, list):
        assert len(node.items) == len(value)
        for part, item in zip(node.items, value, strict=True):
            agree(body, part, item)


@settings(max_examples=250, deadline=None)
@given(documents())
def test_spans_are_those_of_the_standard_parser(text: str) -> None:
    try:
        body = text.encode("utf-8")
    except UnicodeEncodeError:
        return
    agree(body, scan(body), json.loads(body))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='[]{}",:\\ \n0123456789.eE+-truefalsn', max_size=14) | st.binary(max_size=10).map(repr))
def test_rubbish_is_refused_like_the_standard_parser_refuses_it(text: str) -> None:
    body = text.encode("utf-8")
    try:
        json.loads(body)
    except ValueError:
        try:
            node = scan(body)
        except MalformedError:
            return
        # Lists of nothing but the characters of numbers are judged when they are read.
        assert any(each.kind == "numbers" for each in flat(node))
    else:
        assert scan(body)


def flat(node: Node) -> list[Node]:
    inner = [*node.items, *(item for _, item in node.members)]
    return [node, *(each for item in inner for each in flat(item))]


@settings(max_examples=100, deadline=None)
@given(documents(), st.data())
def test_splicing_changes_one_value_and_no_other_byte(text: str, data: st.DataObject) -> None:
    body = text.encode("utf-8", "replace")
    node = data.draw(st.sampled_from(flat(scan(body))))
    fresh = splice(body, [(node, b"true")])
    assert fresh[: node.start] == body[: node.start]
    assert fresh[node.start + 4 :] == body[node.end :]
    assert json.loads(fresh) is not None or fresh.strip() == b"null"


def test_several_pieces_go_in_by_place() -> None:
    body = b'{"a": [1, 2] , "b":"x","c":[3]}'
    found = dict(scan(body).members)
    assert splice(body, [(found["c"], b"[9,9]"), (found["a"], b"[0]")]) == b'{"a": [0] , "b":"x","c":[9,9]}'


@pytest.mark.parametrize(
    "body", [b"", b"[1] 2", b'{"a" 1}', b'{"a":1,}', b"[[1],]", b'{"\xff":1}', b'{"a":\x00}', b"nul"]
)
def test_broken_documents_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        scan(body)


def test_depth_is_bounded() -> None:
    assert scan(b'[{"a":1},' * (DEEPEST - 1) + b"1" + b"]" * (DEEPEST - 1))
    with pytest.raises(MalformedError, match="deep"):
        scan(b"[[" * 100_000)


def test_names_that_readers_could_take_differently_are_refused() -> None:
    for text in (b'{"data":1,"data":2}', b'{"Data":1}', b'{"data":1,"DATA":2}', b'{"data":1,"d\\u0061ta":2}'):
        with pytest.raises(MalformedError, match="ambiguous"):
            scan(text).member("data")
    assert scan(string.Template('{"x":$n}').substitute(n=3).encode()).member("data") is None
