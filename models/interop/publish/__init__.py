"""Models on their way out: GGUF files with what Ollama wants beside them, and the cards of Hugging Face folders."""
