"""CloudWatch's metric math, as far as an alarm of a fleet needs it.

CloudWatch User Guide, "Using metric math": arithmetic, comparisons and logic (1 and 0), IF, FILL. An operation on a
value that is missing has none.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

from sdfleet_local.scaling_errors import NotEmulated

Value = float | None

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitXor: operator.pow,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
#: CloudWatch's words and signs for Python's.
_LOGIC = ((re.compile(r"\bAND\b|&&"), " and "), (re.compile(r"\bOR\b|\|\|"), " or "))


def evaluate(formula: str, values: Mapping[str, Value]) -> Value:
    """`formula` over one period's `values` by id; None: it has no value.

    Raises:
        NotEmulated: something in it that local mode does not know.
    """
    text = formula
    for pattern, python in _LOGIC:
        text = pattern.sub(python, text)
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, values)
    except (SyntaxError, KeyError, RecursionError) as error:
        raise NotEmulated(f"Local mode cannot evaluate the metric expression {formula!r}.") from error
    except ZeroDivisionError:
        return None


def _value(node: ast.expr, values: Mapping[str, Value]) -> Value:
    """Raises:
    KeyError: an unknown part.
    """
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _value(operand, values)
            return None if value is None else -value
        case ast.BinOp(left=left, op=op, right=right):
            return _applied(_BINARY[type(op)], _value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _applied(_COMPARISONS[type(op)], _value(left, values), _value(right, values))
        case ast.BoolOp(op=op, values=parts):
            found = [_value(part, values) for part in parts]
            if None in found:
                return None
            return float(all(found) if isinstance(op, ast.And) else any(found))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise], keywords=[]):
            holds = _value(condition, values)
            return None if holds is None else _value(then if holds else otherwise, values)
        case ast.Call(func=ast.Name(id="FILL"), args=[inner, filler], keywords=[]):
            value = _value(inner, values)
            return _value(filler, values) if value is None else value
    raise KeyError(ast.dump(node))


def _applied(operation: Callable[[float, float], float | bool], left: Value, right: Value) -> Value:
    return None if left is None or right is None else float(operation(left, right))
