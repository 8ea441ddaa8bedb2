"""LoRA adapters from and to files: PEFT's folders, and llama.cpp's GGUF files."""
