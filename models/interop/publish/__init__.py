"""Publishes models: GGUF files with Ollama's Modelfiles, ONNX files, and Hugging Face folders with cards."""
