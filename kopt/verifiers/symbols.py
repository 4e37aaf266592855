"""What a built object asks of libraries, read from its bytes: the imports of its dynamic segment.

The bytes are in the judge's hands and nothing of them is executed. Everything in them may be forged, so sizes
are bounded and whatever cannot be read counts as a finding.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

_MOST_BYTES = 64 << 20
_MOST_SYMBOLS = 100_000
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
    r"(?:libtvm_ffi|libstdc\+\+|libm|libgcc_s|libc|libgomp|libpthread|ld-linux[\w-]*)\.so"
)
_PLAIN = re.compile(r"[\w.$@+-]{1,120}")


def foreign(artifact: bytes, *, alone: bool) -> tuple[str, ...]:
    """Symbols through which a built object could have libraries do its work, sorted.

    ``alone`` is for C++ candidates, which need nothing but the C and C++ run time: there the interpreter, other
    libraries and symbols left to be found at load time count as well. An extension of torch's calls the
    dispatcher, which the trace sees.
    """
    found: set[str] = set()
    try:
        for data in _objects(artifact):
            found |= set(_imports(data, alone))
    except (ELFError, tarfile.TarError, ValueError, KeyError, IndexError, OSError, AttributeError, TypeError):
        found.add("(its built object cannot be read)")
    except (RecursionError, MemoryError, OverflowError):
        found.add("(its built object is malformed)")
    names = sorted(found)
    more = len(names) - _MOST_NAMED
    return (*names[:_MOST_NAMED], f"and {more} more") if more > 0 else tuple(names)


def _objects(artifact: bytes) -> Iterator[bytes]:
    if len(artifact) > _MOST_BYTES:
        raise ValueError("too large to be read")
    if artifact.startswith(b"\x7fELF"):
        yield artifact
        return
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            if file is not None:
                yield file.read(_MOST_BYTES)


def _imports(data: bytes, alone: bool) -> Iterator[str]:
    dynamic = False
    patterns = (_LIBRARY, _LOADING, _RUNNING, *((_INTERPRETER,) if alone else ()))
    # The dynamic segment, not the sections: it is what the loader reads.
    for segment in ELFFile(io.BytesIO(data)).iter_segments("PT_DYNAMIC"):
        assert isinstance(segment, DynamicSegment)
        dynamic = True
        if alone:
            for tag in segment.iter_tags("DT_NEEDED"):
                library = str(getattr(tag, "needed", ""))
                if not _USUAL_LIBRARIES.match(library):
                    yield _name(library)
        for number, symbol in enumerate(segment.iter_symbols()):
            if number > _MOST_SYMBOLS:
                raise ValueError("too many symbols")
            if symbol["st_shndx"] != "SHN_UNDEF" or not symbol.name:
                continue
            name = symbol.name
            weak = symbol["st_info"]["bind"] == "STB_WEAK" and not _USUAL_WEAK.match(name)
            if any(pattern.match(name) for pattern in patterns) or (alone and weak):
                yield _name(name)
    if not dynamic:
        raise ValueError("no dynamic segment")


def _name(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else "(a name of odd characters)"
