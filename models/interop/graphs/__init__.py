"""llama.cpp's graphs: the designs that they compute, and their metadata in GGUF files."""
