"""The type checker of the tests: beartype, for every signature that states the shape of an array.

Other signatures are left to the functions' own errors, which tests provoke with wrong values on purpose. Two
allowances: 3 is as good as 3.0 where a float is asked for (PEP 484), and `Self`, which beartype cannot read on a method
alone, is not checked.
"""

from __future__ import annotations

import re
from typing import Any, Self, TypeVar

from beartype import BeartypeConf, beartype

Function = TypeVar("Function")
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
ARRAY = re.compile(r"(Float|Int|UInt|Bool|Num|Real|Integer|Inexact|Shaped)\d*\[")


def checked(function: Function) -> Function:
    """`function`; where it states shapes, its calls are checked against its annotations."""
    plain = getattr(function, "__func__", function)  # a class method holds its function
    hints = getattr(plain, "__annotations__", {})
    if not any(ARRAY.search(str(hint)) for hint in hints.values()):
        return function
    plain.__annotations__ = {name: Any if hint in (Self, "Self") else hint for name, hint in hints.items()}
    return check(function)
