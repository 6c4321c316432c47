"""Small wrong changes to a module of rtl/, found in its syntax tree: what benches must notice.

A mutant is one change at one place. Its id is made of the module, the operator, the text of the line and what the
change does, so it stays the same when other lines move. Nothing is changed where no bench could see it or should:
comments, what stands under ``ifdef FORMAL``, checks of parameters in ``initial`` blocks, declared widths, defaults.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyslang

__all__ = ["OPERATORS", "Mutant", "mutants_of", "sample"]

OPERATORS = (
    "comparison", "arithmetic", "logic", "constant", "ternary", "condition", "assignment", "signed", "reset", "index",
)  # fmt: skip
"""What kinds of change there are."""

_SWAPS = {
    "LessThanExpression": ("comparison", ("<=", ">=")),
    "LessThanEqualExpression": ("comparison", ("<", ">")),
    "GreaterThanExpression": ("comparison", (">=", "<=")),
    "GreaterThanEqualExpression": ("comparison", (">", "<")),
    "EqualityExpression": ("comparison", ("!=",)),
    "InequalityExpression": ("comparison", ("==",)),
    "AddExpression": ("arithmetic", ("-",)),
    "SubtractExpression": ("arithmetic", ("+",)),
    "MultiplyExpression": ("arithmetic", ("+",)),
    "LogicalShiftLeftExpression": ("arithmetic", (">>",)),
    "LogicalShiftRightExpression": ("arithmetic", ("<<",)),
    "ArithmeticShiftRightExpression": ("arithmetic", (">>",)),
    "LogicalAndExpression": ("logic", ("||",)),
    "LogicalOrExpression": ("logic", ("&&",)),
    "BinaryAndExpression": ("logic", ("|",)),
    "BinaryOrExpression": ("logic", ("&",)),
    "BinaryXorExpression": ("logic", ("|",)),
    "UnaryLogicalNotExpression": ("logic", ("",)),
    "UnaryBitwiseNotExpression": ("logic", ("",)),
    "UnaryBitwiseAndExpression": ("logic", ("|",)),
    "UnaryBitwiseOrExpression": ("logic", ("&",)),
}
"""By the kind of expression: the operator, and what stands in the place of its sign."""

_LEFT_ALONE = {
    "InitialBlock", "ParameterDeclaration", "ParameterDeclarationStatement", "ParameterPortList", "VariableDimension",
    "PackageDeclaration", "EventControlWithExpression",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: bytes of a file and what comes in their place."""

    module: str
    path: Path
    operator: str
    start: int
    end: int
    text: str
    """What stands there instead."""
    line: int
    line_text: str
    change: str
    """As ``< to <=``, for people."""
    id: str

    @property
    def block(self) -> str:
        """The folder below rtl/."""
        return self.path.parent.name if self.path.parent.name != "generated" else self.path.parent.parent.name

    def apply(self, source: bytes) -> bytes:
        """Return the file with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants_of(path: Path) -> list[Mutant]:
    """Return every mutant of the module in *path*, in the order of their places."""
    source = path.read_bytes()
    found: list[Mutant] = []
    twins: dict[str, int] = defaultdict(int)
    root: Any = pyslang.syntax.SyntaxTree.fromFile(str(path)).root
    for operator, start, end, text, change in _changes(root, source):
        number = source.count(b"\n", 0, start) + 1
        begin = source.rfind(b"\n", 0, start) + 1
        line_text = source[begin : source.find(b"\n", start)].decode(errors="replace").strip()
        said = f"{path.stem}|{operator}|{line_text}|{start - begin}|{change}"
        twins[said] += 1  # the same line may stand twice
        digest = hashlib.sha256(f"{said}|{twins[said]}".encode()).hexdigest()[:8]
        found.append(Mutant(path.stem, path, operator, start, end, text, number, line_text, change, digest))
    return found


def sample(mutants: Iterable[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return all in an order in which any first *count* are spread over blocks, modules and operators.

    The same seed gives the same order; the caller takes the first that build. Every place in it is drawn from the
    seed and the name or id of what stands there, so an edit of one line moves few others of the sample.
    """
    piles: dict[str, dict[tuple[str, str], list[Mutant]]] = defaultdict(lambda: defaultdict(list))
    for mutant in mutants:
        piles[mutant.block][mutant.operator, mutant.module].append(mutant)
    queues = [_turns(block, piles[block], seed) for block in sorted(piles)]
    return list(_in_turn(queues))[: max(count, 0)]


def _turns(block: str, cells: dict[tuple[str, str], list[Mutant]], seed: int) -> list[Mutant]:
    """Return a block's mutants, one of each operator in turn; of an operator, one of each module in turn."""
    by_operator: dict[str, list[list[Mutant]]] = defaultdict(list)
    for (operator, module), pile in sorted(cells.items(), key=lambda cell: _draw(seed, block, *cell[0])):
        by_operator[operator].append(sorted(pile, key=lambda mutant: _draw(seed, module, mutant.id)))
    # Of each block another one first, so that few of all are of every operator.
    operators = sorted(by_operator, key=lambda operator: _draw(seed, block, operator))
    return list(_in_turn([list(_in_turn(by_operator[operator])) for operator in operators]))


def _draw(seed: int, *names: str) -> int:
    """Return a number drawn from the seed for what has these names."""
    return int.from_bytes(hashlib.sha256("|".join([str(seed), *names]).encode()).digest()[:8], "big")


def _in_turn(queues: Sequence[list[Mutant]]) -> Iterator[Mutant]:
    for place in range(max(map(len, queues), default=0)):
        for queue in queues:
            if place < len(queue):
                yield queue[place]


_Change = tuple[str, int, int, str, str]


def _changes(node: Any, source: bytes) -> Iterator[_Change]:
    """Yield (operator, start, end, text, change) for *node* and what is below it."""
    kind = _kind(node)
    if kind in _LEFT_ALONE:
        return
    yield from _here(node, kind, source)
    for child in _children(node, kind):
        yield from _changes(child, source)


def _children(node: Any, kind: str) -> list[Any]:
    """Return the parts that are changed: not what fixes widths or how often something is made."""
    children = [child for child in node if isinstance(child, pyslang.syntax.SyntaxNode)]
    if kind in ("LoopGenerate", "IfGenerate"):
        return [child for child in children if "Block" in _kind(child) or "ElseClause" in _kind(child)]
    if kind == "CastExpression" or kind == "MultipleConcatenationExpression":
        return children[1:]
    if kind in ("SimpleRangeSelect", "AscendingRangeSelect", "DescendingRangeSelect"):
        return [] if kind == "SimpleRangeSelect" else children[:1]
    if kind in ("HierarchyInstantiation",):
        return [child for child in children if "Parameter" not in _kind(child)]
    return children


def _here(node: Any, kind: str, source: bytes) -> Iterator[_Change]:
    """Yield the changes of this node alone."""
    if kind in _SWAPS:
        operator, signs = _SWAPS[kind]
        token = next(child for child in node if isinstance(child, pyslang.parsing.Token))
        start, end = _token(token)
        for sign in signs:
            yield operator, start, end, sign, f"{source[start:end].decode()} to {sign or 'nothing'}"
    elif kind in ("IntegerLiteralExpression", "IntegerVectorExpression", "UnbasedUnsizedLiteralExpression"):
        yield from _constant(node, kind, source)
    elif kind == "ConditionalExpression":
        yield from _ternary(node, source)
    elif kind == "ConditionalStatement":
        yield from _condition(node, source)
    elif kind == "ExpressionStatement" and _kind(node[1]) == "NonblockingAssignmentExpression":
        start, end = _span(node)
        yield "assignment", start, end, ";", "dropped"
    elif kind == "InvocationExpression" and str(node).strip().startswith("$signed"):
        start, _ = _span(node)
        yield "signed", start, start + len("$signed"), "", "$signed to nothing"
    elif kind in ("ElementSelect",) and _kind(node[1]) == "BitSelect":
        start, end = _span(node[1])
        inner = source[start:end].decode()
        yield "index", start, end, f"({inner}) + 1", "index + 1"
    if kind in ("LogicType", "RegType"):
        for child in node:
            if isinstance(child, pyslang.parsing.Token) and child.rawText == "signed":
                start, end = _token(child)
                yield "signed", start, end, "", "signed to nothing"


def _constant(node: Any, kind: str, source: bytes) -> Iterator[_Change]:
    """A constant one more, or for one bit the other; the largest becomes one less."""
    start, end = _span(node)
    text = source[start:end].decode()
    if kind == "UnbasedUnsizedLiteralExpression":
        if text in ("'0", "'1"):
            other = "'1" if text == "'0" else "'0"
            yield "constant", start, end, other, f"{text} to {other}"
        return
    if kind == "IntegerLiteralExpression":
        yield "constant", start, end, str(int(text.replace("_", "")) + 1), f"{text} to {text} + 1"
        return
    size, _, rest = text.replace("_", "").partition("'")
    signed, rest = ("s", rest[1:]) if rest[:1].lower() == "s" else ("", rest)
    base = {"b": 2, "o": 8, "d": 10, "h": 16}.get(rest[:1].lower())
    if base is None or not size or not all(digit in "0123456789abcdefABCDEF" for digit in rest[1:]):
        return
    value, width = int(rest[1:], base), int(size)
    other = f"{size}'{signed}d{value + 1 if value + 1 < 1 << width else value - 1}"
    yield "constant", start, end, other, f"{text} to {other}"


def _ternary(node: Any, source: bytes) -> Iterator[_Change]:
    arms = [child for child in node if isinstance(child, pyslang.syntax.SyntaxNode)][-2:]
    (s1, e1), (s2, e2) = _span(arms[0]), _span(arms[1])
    swapped = f"({source[s2:e2].decode()}){source[e1:s2].decode()}({source[s1:e1].decode()})"
    yield "ternary", s1, e2, swapped, "arms swapped"


def _condition(node: Any, source: bytes) -> Iterator[_Change]:
    """A condition negated, stuck at true, stuck at false; that of the reset is another operator."""
    predicate = next(child for child in node if _kind(child) == "ConditionalPredicate")
    start, end = _span(predicate)
    text = source[start:end].decode()
    if text.strip() == "rst":
        yield "reset", start, end, "1'b0", "reset dropped"
        return
    yield "condition", start, end, f"!({text})", "condition negated"
    yield "condition", start, end, "1'b1", "condition always true"
    yield "condition", start, end, "1'b0", "condition never true"


def _kind(node: Any) -> str:
    return str(node.kind).removeprefix("SyntaxKind.") if isinstance(node, pyslang.syntax.SyntaxNode) else ""


def _span(node: Any) -> tuple[int, int]:
    return node.sourceRange.start.offset, node.sourceRange.end.offset


def _token(token: Any) -> tuple[int, int]:
    return token.range.start.offset, token.range.end.offset
