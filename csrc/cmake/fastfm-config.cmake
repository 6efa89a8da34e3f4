# find_package(fastfm CONFIG REQUIRED), with -Dfastfm_DIR=$(python -m fastfm_core --cmakedir)
#
#   fastfm::headers   fastfm/*.hpp, C++17: kernels that are compiled into your program, for the CPU it is compiled for,
#                     on a pool of its own
#   fastfm::fastfm    libfastfm for fastfm.h, C99 and up: kernels for every CPU. Headers in the same program run on its
#                     pool. It is not there where the package was installed without its C++ kernels.
#
# Every path is relative to this file.
include(CMakeFindDependencyMacro)
find_dependency(Threads)

get_filename_component(_fastfm_root "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)

if(NOT TARGET fastfm::headers)
    add_library(fastfm::headers INTERFACE IMPORTED)
    set_target_properties(fastfm::headers PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${_fastfm_root}/include"
        INTERFACE_COMPILE_FEATURES cxx_std_17
        INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()

# Beside the package's own files where it is installed; in a source tree the build leaves it in the Python package.
foreach(_fastfm_folder "${_fastfm_root}" "${_fastfm_root}/../fastfm_core")
    if(NOT TARGET fastfm::fastfm AND EXISTS "${_fastfm_folder}/libfastfm.so")
        add_library(fastfm::fastfm SHARED IMPORTED)
        set_target_properties(fastfm::fastfm PROPERTIES
            IMPORTED_LOCATION "${_fastfm_folder}/libfastfm.so"
            IMPORTED_SONAME "libfastfm.so"
            INTERFACE_COMPILE_DEFINITIONS FASTFM_LINKED
            INTERFACE_INCLUDE_DIRECTORIES "${_fastfm_root}/include"
            INTERFACE_LINK_LIBRARIES Threads::Threads)
    endif()
endforeach()
unset(_fastfm_root)
unset(_fastfm_folder)
