"""Golden models, compiled: the same functions with numba behind them.

    engine = compile_golden(matching)
    state, out = engine.new_engine(96, 65_536, 16_384), engine.new_out(4_096)
    engine.submit(state, out, 0, 1, 7, engine.SELL, engine.LIMIT, -5, 10)

The SDK does not know numba. A golden module lists its functions in ``KERNELS``, callees before callers; here each gets
a twin whose global names lead to the compiled twins of what it calls. The module itself stays plain Python, so that the
two can be held against each other.

Compiled code is kept on disk beside the golden module's source (or in the user's cache folder where that cannot be
written), one file per function, and loaded at the first call. numba alone would notice a change of the function's own
file only; constants and callees come from other files too, so the file's name here carries a digest of them all.

``PENSTOCK_NO_JIT=1`` in the environment gives the plain functions: slower by a factor of some hundred, for debugging.
"""

import hashlib
import os
import sys
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

__all__ = ["NO_JIT_ENV", "compile_golden"]

NO_JIT_ENV = "PENSTOCK_NO_JIT"


_COMPILED: dict[tuple[str, tuple[FunctionType, ...]], dict[str, Any]] = {}
"""Compiled functions by digest and kernels. numba never lets go of one: a market that is made anew every day must not
load its functions anew."""


def compile_golden(module: ModuleType) -> SimpleNamespace:
    """Return a namespace with every public name of *module*, its `KERNELS` compiled with numba.

    Functions are compiled (cold: seconds for a module) or loaded from the disk cache (some milliseconds each) when they
    are first called with their argument types: call each once before the market opens.

    Args:
        module: has ``KERNELS``, a tuple of functions, callees before callers. Those may come from other modules.

    Raises:
        TypeError: *module* has no ``KERNELS``, or one of them is not a plain function.
        ValueError: two kernels share a name, or one comes before a kernel that it calls.
    """
    kernels = _kernels_of(module)
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    if os.environ.get(NO_JIT_ENV, "") not in ("", "0"):
        return SimpleNamespace(**public)
    digest = _digest(kernels)
    compiled = _COMPILED.get((digest, kernels))
    if compiled is None:
        compiled = _COMPILED[digest, kernels] = _compile(kernels, digest)
    return SimpleNamespace(**(public | {name: compiled[name] for name in compiled if name in public}))


def _compile(kernels: tuple[FunctionType, ...], digest: str) -> dict[str, Any]:
    # Imported here: half a second that a deployment without a compiled plugin need not spend.
    from numba import njit

    compiled: dict[str, Any] = {}
    for kernel in kernels:
        compiled[kernel.__name__] = _widen_literals(njit(cache=True)(_twin(kernel, compiled, digest)))
    return compiled


def _kernels_of(module: ModuleType) -> tuple[FunctionType, ...]:
    kernels = getattr(module, "KERNELS", None)
    if not isinstance(kernels, tuple) or not all(isinstance(kernel, FunctionType) for kernel in kernels):
        raise TypeError(f"{module.__name__}: wanted KERNELS, a tuple of plain functions; met {type(kernels).__name__}")
    names = [kernel.__name__ for kernel in kernels]
    for at, kernel in enumerate(kernels):
        if kernel.__name__ in names[:at]:
            raise ValueError(f"{module.__name__}: KERNELS names {kernel.__name__} twice")
        late = set(kernel.__code__.co_names) & set(names[at + 1 :])
        if late:
            raise ValueError(
                f"{module.__name__}: {kernel.__name__} calls {min(late)}, which comes after it in KERNELS; "
                "put callees first"
            )
    return kernels


def _twin(kernel: FunctionType, compiled: dict[str, Any], digest: str) -> FunctionType:
    """Return a copy of *kernel* that calls the compiled functions; its name leads to its own file in the cache."""
    twin = FunctionType(kernel.__code__, kernel.__globals__ | compiled, kernel.__name__, kernel.__defaults__)
    twin.__module__ = kernel.__module__
    twin.__doc__ = kernel.__doc__
    twin.__qualname__ = f"{kernel.__qualname__}-{digest}"
    return twin


def _widen_literals(dispatcher: Any) -> Any:
    """Return *dispatcher*, told to see an int64 where a compiled caller passes a constant.

    numba would compile a callee anew for every combination of constants it is called with (16 times for one helper of
    the matching engine), which doubles the cold start, 8.0 s to 4.3 s there, and makes nothing faster: small callees
    are inlined all the same.
    """
    from numba.core.types import unliteral  # untyped, as all of numba

    look_up = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: look_up(tuple(unliteral(arg) for arg in args), kws)  # type: ignore[no-untyped-call]
    return dispatcher


def _digest(kernels: tuple[FunctionType, ...]) -> str:
    """Return eight digits that change with the source of any kernel's module and with any constant they can see."""
    sha = hashlib.sha256()
    modules = sorted({kernel.__module__ for kernel in kernels})
    for name in modules:
        sha.update(name.encode())
        path = sys.modules[name].__file__
        if path is not None:
            with open(path, "rb") as source:
                sha.update(source.read())
        constants = vars(sys.modules[name])
        sha.update(repr(sorted((key, int(value)) for key, value in constants.items() if _is_int(value))).encode())
    return sha.hexdigest()[:8]


def _is_int(value: object) -> bool:
    return isinstance(value, int)
