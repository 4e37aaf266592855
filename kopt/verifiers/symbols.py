"""What a built object asks of libraries, read from its bytes: the imports of its dynamic segment.

The bytes are in the judge's hands and nothing of them is executed. Everything in them may be forged: a builder that
ran a candidate leaves what the candidate likes. They are read within bounds (:mod:`~kopt.verifiers.elf`,
:mod:`~kopt.verifiers.packed`), and whatever cannot be read counts as a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kopt.verifiers import elf, packed

_MOST_BYTES = 64 << 20
_MOST_NAMED = 16

_LIBRARY = re.compile(
    r"cblas_|LAPACKE_|lapacke?_|openblas|blis_|bli_|mkl|MKL|v[sd][A-Z][a-z]|dnnl|_ZN4dnnl|_ZN5ideep|"
    r"xnn_|nnp_|_ZN6fbgemm|cudnn|cublas|"
    r"_ZN2at6native|_ZN2at3cpu|_ZN2at4meta|_ZN2at\d+compositeexplicitautograd|"  # past the dispatcher
    r"[sdcz](?:gemm|gemv|ger|dot|axpy|scal|nrm2|syrk|symm|symv|trmm|trsm|getr[fs]|gesv|potr[fs]|geqrf|gesdd|syev)_?$"
)
_LOADING = re.compile(
    r"dlopen$|dlmopen$|dlv?sym$|dlinfo$|dl_iterate_phdr$|_dl_|__libc_dl|TVMFFIFunctionGetGlobal$"
)
_RUNNING = re.compile(r"system$|popen$|p?v?fork$|execv?[lpe]*$|execve(?:at)?$|posix_spawn")
_INTERPRETER = re.compile(r"_?Py[A-Z_]")
_USUAL_WEAK = re.compile(
    r"__cxa_|__gmon_start__$|_ITM_|__gthr|_?_pthread_|pthread_|_ZTH|_ZGTt|__dso_handle$|__tls_"
)
_USUAL_LIBRARIES = re.compile(
    r"(?:libtvm_ffi|libstdc\+\+|libm|libgcc_s|libc|libgomp|libpthread|ld-linux[\w-]{0,20})\.so[.\d]{0,20}"
)
_PLAIN = re.compile(r"[\w.$@+-]{1,120}", re.ASCII)


def foreign(artifact: bytes, *, alone: bool) -> tuple[str, ...]:
    """Symbols through which a built object could have libraries do its work, sorted. It never raises.

    ``alone`` is for C++ candidates, which need nothing but the C and C++ run time: there the interpreter, other
    libraries and symbols left to be found at load time count as well. An extension of torch's calls the
    dispatcher, which the trace sees.
    """
    found: set[str] = set()
    try:
        allowance = elf.Allowance()
        for data in _objects(artifact):
            found.update(_imports(elf.read(data, allowance), alone))
    except Exception:  # whatever a forged object makes of its reader is said of the object, not of kopt
        found.add("(its built object cannot be read)")
    names = sorted(found)
    more = len(names) - _MOST_NAMED
    return (*names[:_MOST_NAMED], f"and {more} more") if more > 0 else tuple(names)


def _objects(artifact: bytes) -> Iterator[memoryview]:
    if len(artifact) > _MOST_BYTES:
        raise ValueError("too large to be read")
    view = memoryview(artifact)
    return iter((view,)) if artifact.startswith(b"\x7fELF") else packed.files(view)


def _imports(asked: elf.Asked, alone: bool) -> Iterator[str]:
    if alone:
        yield from (_name(library) for library in asked.libraries if not _USUAL_LIBRARIES.fullmatch(library))
    # Defined here but found elsewhere: what a process has loaded, its C library and interpreter, comes first.
    sooner = (_LOADING, _RUNNING, *((_INTERPRETER,) if alone else ()))
    for symbol in asked.symbols:
        name = symbol.name
        weak = alone and symbol.weak and not symbol.defined and not _USUAL_WEAK.match(name)
        patterns = sooner if symbol.defined else (_LIBRARY, *sooner)
        if weak or any(pattern.match(name) for pattern in patterns):
            yield _name(name)


def _name(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else "(a name of odd characters)"
