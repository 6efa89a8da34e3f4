"""The native build: libfastfm, which has the kernels and no Python, the extension module fastfm_core._native that
binds them, the text of the CUDA kernels beside the module that compiles them when they are first launched, and for
programs in other languages the headers and the CMake package. All metadata is in pyproject.toml.

FASTFM_CORE_BUILD   auto (the default): without a compiler that can do it the package is installed without its C++
                    kernels, and `fastfm-core info` says why; require: that is an error; off: nothing is compiled
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
CSRC = Path("csrc")
MODES = ("auto", "require", "off")
TEXTS = {"cuda": "backends/cuda/source", "include": "include", "cmake": "cmake"}  # folders of csrc, of the package
# Which flags a file of csrc/isa needs; it compiles to nothing on other architectures, where they are unknown.
ISA_FLAGS = {
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
}


def mode() -> str:
    """What FASTFM_CORE_BUILD asks for."""
    asked = os.environ.get("FASTFM_CORE_BUILD", "auto")
    if asked not in MODES:
        raise SystemExit(f"FASTFM_CORE_BUILD is {asked!r}, it must be one of {', '.join(MODES)}")
    return asked


def build_module():
    """fastfm_core/build.py, loaded without the package and what it imports."""
    specification = importlib.util.spec_from_file_location("build_module", ROOT / "fastfm_core" / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class BuildPackage(build_py):
    """Copies what is used as text to where ``backends.cuda.device`` and ``fastfm_core.linking`` look for it."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source, target in TEXTS.items():
                for path in sorted((CSRC / source).rglob("*.*")):
                    to = Path(self.build_lib) / "fastfm_core" / target / path.relative_to(CSRC / source)
                    self.mkpath(str(to.parent))
                    self.copy_file(str(path), str(to))


class BuildNative(build_ext):
    """Compiles each instruction set's file with its flags, and writes down how the build went."""

    def run(self) -> None:
        error = ""
        if mode() != "off":
            try:
                super().run()
            except Exception as failure:
                if mode() == "require":
                    raise
                error = f"{type(failure).__name__}: {failure}".splitlines()[0]
                print(f"warning: fastfm_core is installed without its C++ kernels: {error}", file=sys.stderr)
        self.write_info(error)

    def build_extension(self, extension: Pybind11Extension) -> None:
        compile_file = self.compiler._compile

        def compile_for_isa(target, source, suffix, arguments, extra, preprocessor):
            compile_file(target, source, suffix, arguments, extra + ISA_FLAGS.get(Path(source).stem, []), preprocessor)

        self.compiler._compile = compile_for_isa
        if extension is module:
            extension.library_dirs = [str(Path(self.get_ext_fullpath(library.name)).parent)]
        super().build_extension(extension)
        self.compiler._compile = compile_file

    def get_ext_filename(self, name: str) -> str:
        """libfastfm is of no Python, so no Python's suffix is its own."""
        if name.rpartition(".")[2] == "libfastfm":
            return f"{name.replace('.', '/')}.so"
        return super().get_ext_filename(name)

    def write_info(self, error: str) -> None:
        folder = ROOT if self.inplace else Path(self.build_lib)
        path = folder / "fastfm_core" / "_build_info.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = {"MODE": mode(), "ERROR": error, "SOURCES": build_module().source_hash(ROOT / CSRC)}
        text = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        path.write_text(f'"""Written by setup.py: how the C++ kernels were built."""\n\n{text}')

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), str(Path(self.build_lib) / "fastfm_core" / "_build_info.py")]


def native(name: str, folders: list[str], **options) -> Pybind11Extension:
    """What is compiled from these folders of csrc."""
    return Pybind11Extension(
        name,
        sorted(str(path) for folder in folders for path in (CSRC / folder).glob("*.cpp")),
        include_dirs=[str(CSRC / "include")],
        depends=sorted(str(path) for folder in build_module().FOLDERS for path in (CSRC / folder).rglob("*.h*")),
        define_macros=[("FASTFM_LINKED", None)],
        cxx_std=17,
        extra_compile_args=["-O3", "-g0", "-Wall", "-Wextra"],
        **options,
    )


library = native("fastfm_core.libfastfm", ["isa", "library"], extra_link_args=["-pthread", "-Wl,-soname,libfastfm.so"])
module = native(
    "fastfm_core._native", ["bindings"], libraries=["fastfm"], extra_link_args=["-pthread", "-Wl,-rpath,$ORIGIN"]
)
ParallelCompile(default=0).install()
setup(ext_modules=[library, module], cmdclass={"build_py": BuildPackage, "build_ext": BuildNative})
