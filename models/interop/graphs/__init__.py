"""llama.cpp's graphs: which designs they compute, and how GGUF files describe these."""
