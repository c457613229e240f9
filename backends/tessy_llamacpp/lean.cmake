# Leaves llama.cpp's helper library for its own command-line tools out of the build, which a program that
# speaks to libllama does not need and which takes a third of the time. llama-cpp-python forces it on in the
# cache; a plain variable, set right after llama.cpp's own project() call, goes before the cache:
#   CMAKE_ARGS="-DCMAKE_PROJECT_llama.cpp_INCLUDE=…/lean.cmake -DLLAVA_BUILD=OFF" pip install llama-cpp-python
set(LLAMA_BUILD_COMMON OFF)
set(LLAMA_BUILD_TOOLS OFF)
set(LLAMA_BUILD_EXAMPLES OFF)
set(LLAMA_BUILD_TESTS OFF)
set(LLAMA_BUILD_SERVER OFF)
set(LLAMA_BUILD_APP OFF)
