"""The collections of a module that grow while it runs: those that begin empty, and caches."""

import ast
from collections.abc import Iterator

_COLLECTIONS = frozenset({"deque", "OrderedDict", "dict", "list", "set", "bytearray", "Counter", "defaultdict"})
_ALWAYS = frozenset({"deque", "bytearray"})
"""Also where they begin as None, or with what they shall hold."""
_CACHES = frozenset({"lru_cache", "cache"})


def find_growing(module: ast.Module) -> Iterator[str]:
    """The names of attributes of `self`, of fields and of globals that hold one, and of cached functions."""
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(decorator_list=decorators) | ast.AsyncFunctionDef(decorator_list=decorators):
                if any(_name(each) in _CACHES for each in decorators):
                    yield node.name
            case ast.AnnAssign(
                target=ast.Attribute(value=ast.Name(id="self")) as target, value=value, annotation=annotation
            ):
                if _grows(value) or _is_always(annotation):
                    yield target.attr
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self")) as target], value=value) if _grows(value):
                yield target.attr
            case ast.ClassDef() | ast.Module():
                yield from _declared(node.body)
            case _:
                pass


def _declared(body: list[ast.stmt]) -> Iterator[str]:
    """Fields of dataclasses, and globals."""
    for statement in body:
        if isinstance(statement, ast.AnnAssign | ast.Assign) and statement.value is not None:
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            if isinstance(target, ast.Name) and _grows(statement.value):
                yield target.id


def _grows(value: ast.expr | None) -> bool:
    match value:
        case ast.Dict(keys=[]) | ast.List(elts=[]):
            return True
        case ast.Call(func=function, keywords=keywords) if _name(function) == "field":
            return any(each.arg == "default_factory" and _name(each.value) in _COLLECTIONS for each in keywords)
        case ast.Call(func=function, args=arguments):
            return _name(function) in _COLLECTIONS and (not arguments or _name(function) in _ALWAYS)
        case _:
            return False


def _is_always(annotation: ast.expr) -> bool:
    return any(_name(node) in _ALWAYS for node in ast.walk(annotation) if isinstance(node, ast.Name))


def _name(node: ast.expr) -> str:
    """`deque` of `deque`, `collections.deque`, `deque[int]` and `deque()`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=inner) | ast.Call(func=inner):
            return _name(inner)
        case _:
            return ""
