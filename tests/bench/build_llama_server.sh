#!/bin/sh
# Builds llama-server from the very llama.cpp that the installed llama-cpp-python carries, so that a comparison
# compares programs and not versions.  tests/bench/build_llama_server.sh [FOLDER]   (default: build/llama-server)
# Needs cmake and a C++ compiler; some ten minutes on two cores, once. The last line printed is the program's path.
set -eu
python=${PYTHON:-.venv/bin/python}
folder=$(mkdir -p "${1:-build/llama-server}" && cd "${1:-build/llama-server}" && pwd)
version=$("$python" -c 'import importlib.metadata as m; print(m.version("llama-cpp-python"))')
source="$folder/llama_cpp_python-$version"

if [ ! -d "$source" ]; then
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
        --dest "$folder" "llama-cpp-python==$version"
    tar -xzf "$source.tar.gz" -C "$folder"
fi
cmake -S "$source/vendor/llama.cpp" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF ${CMAKE_ARGS_SERVER:-} >&2
cmake --build "$folder/build" --target llama-server -j "${JOBS:-2}" >&2
echo "$folder/build/bin/llama-server"
