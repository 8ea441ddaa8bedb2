"""llama.cpp's graphs: which designs they compute, and how GGUF files describe these. Read from llama.cpp's src/models."""
