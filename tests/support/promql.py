"""What an expression of PromQL asks for."""

from __future__ import annotations

import promql_parser

__all__ = ["selectors"]


def selectors(expression: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    """Every selector of a series in it."""
    found: list[promql_parser.VectorSelector] = []

    def enter(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(expression, enter)
    return found
