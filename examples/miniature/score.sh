#!/bin/sh
# How on-policy the miniature pair's traces are: three policies over 200 prompts, and the student's own once more.
# Run it as `sh examples/miniature/score.sh`; writes runs/score, takes about a minute.
set -e
models=examples/miniature/models
pair="--teacher llamacpp:$models/teacher.gguf --student llamacpp:$models/student.gguf"
prompts="examples/miniature/prompts.jsonl -n 200"
tessy run $prompts -o runs/score/three $pair --policy student-only --policy tessy --policy teacher-only
tessy run $prompts -o runs/score/own --seed 1 --policy student-only --student llamacpp:$models/student.gguf
tessy score runs/score/three --reference runs/score/own --student llamacpp:$models/student.gguf
