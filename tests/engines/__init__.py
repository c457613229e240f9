"""Against a real vLLM; needs an environment of its own: ``make test-vllm``."""
